"""Read the body of a request: its JSON, and the fields that several routes share."""
