"""Stage four, the only one that waits: connections, transactions, and the watch on the catalogue."""
