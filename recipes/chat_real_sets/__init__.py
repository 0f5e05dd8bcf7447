"""Readers of the public data sets: one function per set, each turning the files as published into our rows."""
