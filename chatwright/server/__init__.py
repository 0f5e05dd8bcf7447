"""The web server: an OpenAI-compatible chat API, the chat page, and the build status."""
