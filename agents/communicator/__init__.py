"""The communicator answers visitors and other stacks, and announces what is done."""

from agents.communicator.role import agent

__all__ = ["agent"]
