"""Training data as token ids."""
