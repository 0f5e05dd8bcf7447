"""Feedback on replies that were served, and what the server does with it."""
