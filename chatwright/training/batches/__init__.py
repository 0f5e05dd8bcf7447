"""Resumable sources of batches, one module for each layout of rows."""
