"""Long-term memory of a stack: what enters a prompt, what a reply adds, and when and how it is put in order."""
