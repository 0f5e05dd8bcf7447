"""Routes of the page's API: sessions, conversations, messages, feedback, import and export."""
