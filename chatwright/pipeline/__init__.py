"""Run recipes, which list training stages; import, export, merge and evaluate models."""
