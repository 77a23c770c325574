"""Does everything fit: address, keys, database, realtime, models, machine? Judging is pure, asking has a time limit."""
