"""Find problems, duplicates and overlaps in data, and show which tokens carry loss."""
