"""The verbs, one file each: options, a call of the api, and words for the result; no decisions."""
