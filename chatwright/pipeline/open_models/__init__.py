"""Fetch open models by name: the table of known ones, the download, its checks, the import."""
