"""Commands of Chatwright that the server runs in processes of their own."""
