"""vstore with the real libraries that read data; those that are not installed are told of at the end of a run."""
