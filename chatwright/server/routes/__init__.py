"""Groups of routes; each module has `add(app, service)`."""
