"""The remote protocol as a model, and a search of every order of its requests."""
