"""Tasks: text in, typed result out. Translation and classification."""
