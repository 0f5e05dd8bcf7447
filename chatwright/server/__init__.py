"""The web server: the OpenAI-compatible chat API, the chat page, and the progress of a build."""
