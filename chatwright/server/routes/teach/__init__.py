"""Routes of the loop and of runs: /api/runs, /api/versions, /api/improve and feedback."""
