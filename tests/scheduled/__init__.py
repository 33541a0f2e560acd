"""The real code, one request at a time: every order in which requests of several machines reach one bucket."""
