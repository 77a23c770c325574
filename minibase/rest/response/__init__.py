"""Stage five: what Postgres answered becomes status, headers and body. Pure."""
