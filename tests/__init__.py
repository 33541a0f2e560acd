"""The tests of vstore: one folder per room, and `house` for the rules that hold everywhere."""
