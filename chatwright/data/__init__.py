"""Read, check, split and encode training data."""
