"""Contracts as classes of tests: whoever fulfils one inherits it and says how to make the thing."""
