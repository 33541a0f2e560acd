"""vstore: versions data and models alongside the code."""

__version__ = "0.1.0"
