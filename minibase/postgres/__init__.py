"""A private PostgreSQL server: its binaries, its process, its first contents and its migrations."""
