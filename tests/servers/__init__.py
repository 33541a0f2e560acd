"""Real servers for the tests, and proxies that spoil what is said to them.  CONTRIBUTING.md tells how to get each."""
