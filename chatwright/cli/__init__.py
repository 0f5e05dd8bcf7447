"""The command line: each verb parses its arguments, builds objects and calls the package."""
