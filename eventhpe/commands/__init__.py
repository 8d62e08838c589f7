"""The sub-commands of ``eventhpe``: their flags, and what they call."""
