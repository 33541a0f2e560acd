"""Reading without checking out: what one version of a repository holds, and any stretch of any file of it."""
