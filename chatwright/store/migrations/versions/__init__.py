"""One module for each change. A store only goes forward."""
