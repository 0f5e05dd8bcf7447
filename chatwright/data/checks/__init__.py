"""Look for problems, duplicates and overlaps in data, and show what is learned."""
