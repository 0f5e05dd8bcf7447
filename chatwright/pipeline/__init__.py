"""Recipes: stages that are prepared, run in order, skipped when finished and resumed."""
