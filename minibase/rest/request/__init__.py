"""Stage one: text from the wire becomes frozen values. Pure; knows nothing of any table."""
