"""Parts of a comparison of two models: replies, judges, capabilities, report."""
