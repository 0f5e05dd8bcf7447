"""Improve a model from feedback: train it, compare it with before, and promote or refuse it."""
