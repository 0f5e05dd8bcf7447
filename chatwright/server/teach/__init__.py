"""The loop on the page: feedback, improvements, versions, and which one is served."""
