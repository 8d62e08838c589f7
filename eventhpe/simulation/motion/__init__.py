"""What the person does: procedural motions, motion files, and their way over a stage."""
