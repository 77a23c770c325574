"""Stage three: a plan becomes one SQL statement. Pure. Names are quoted in `spelling`, values are always parameters."""
