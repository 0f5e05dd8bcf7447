"""Read rows from files: encodings, tables, and the kinds of rows."""
