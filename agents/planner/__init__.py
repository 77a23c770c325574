"""The planner owns the idea, the todo list and the phase."""

from agents.planner.role import agent

__all__ = ["agent"]
