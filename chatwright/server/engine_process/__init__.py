"""Engines in a process of their own, and the web application's side of it."""
