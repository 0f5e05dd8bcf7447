"""Who may call a route: keys, users, and requests that are refused before any route."""
