"""Who runs when; talks to the world."""
