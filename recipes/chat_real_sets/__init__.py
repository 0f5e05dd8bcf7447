"""Readers of the public data sets: one function per set turns the published files into rows."""
