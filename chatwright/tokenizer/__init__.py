"""Tokenizers, imported or trained, and the chat formats that turn conversations into ids."""
