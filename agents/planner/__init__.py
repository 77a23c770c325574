"""The planner: one of the four roles."""
