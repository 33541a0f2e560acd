"""The verbs, one file each: what they mean, as a plan, a result and a function."""
