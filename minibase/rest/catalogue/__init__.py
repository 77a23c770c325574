"""What the database offers through the API: an immutable snapshot, replaced as a whole after DDL."""
