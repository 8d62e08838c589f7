"""What the camera sees: views, people and their clothes, backgrounds, light, shadows."""
