"""From conversations to replies: context, sampling of text, tool calls. No user interface."""
