"""Reply to conversations: fit the context, sample text, run tools. No user interface."""
