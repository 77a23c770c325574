"""The communicator: one of the four roles."""
