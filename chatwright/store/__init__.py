"""The store: accounts, conversations, feedback and the audit log, in SQLite or PostgreSQL."""
