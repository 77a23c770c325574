"""The builder turns one todo a run into the next version of the page."""

from agents.builder.role import agent

__all__ = ["agent"]
