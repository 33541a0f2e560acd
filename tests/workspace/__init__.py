"""Working files."""
