"""The builder: one of the four roles."""
