"""The reviewer: one of the four roles."""
