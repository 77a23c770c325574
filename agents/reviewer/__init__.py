"""The reviewer checks each new version of the page and advises the planner."""

from agents.reviewer.role import agent

__all__ = ["agent"]
