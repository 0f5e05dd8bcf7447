"""Tasks: text in, typed result out. Translation, classification, vectors of texts."""
