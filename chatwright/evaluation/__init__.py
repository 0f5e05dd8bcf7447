"""Numbers about a model, each with the count it rests on and, where it is a share, an interval."""
