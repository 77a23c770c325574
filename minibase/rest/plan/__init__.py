"""Stage two: the names of a request are resolved against one snapshot of the catalogue. Pure."""
