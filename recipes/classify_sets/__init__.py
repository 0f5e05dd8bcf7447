"""Readers of the data sets for the classification recipes."""
