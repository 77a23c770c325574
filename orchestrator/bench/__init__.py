"""Benches: the daemon's real path under load, measured."""
