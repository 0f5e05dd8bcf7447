"""Training runs in a folder: what the page shows of them, and recipes started from the page."""
