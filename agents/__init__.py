"""What an agent sees, wants and says: pure values and pure functions."""
