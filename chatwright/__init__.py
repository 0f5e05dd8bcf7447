"""Train, align, serve and look inside a language model, on machines you control."""

__version__ = "0.1.0"
