"""The `stackbeat` command line."""

from orchestrator.cli.group import main

__all__ = ["main"]
