"""POST /v1/messages: the chat API of Anthropic."""
