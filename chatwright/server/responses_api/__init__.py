"""/v1/responses: the chat API of OpenAI in which the server keeps the conversation."""
