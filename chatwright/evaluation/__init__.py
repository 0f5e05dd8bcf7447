"""Evaluate models: scores with the number of items and, for proportions, an interval."""
