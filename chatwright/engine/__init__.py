"""The inference engine: token ids in, token ids out. It never sees text."""
