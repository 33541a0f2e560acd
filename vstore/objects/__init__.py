"""Values and formats: digests, trees, pointers, packs, recipes and chunks.  Nothing here does I/O."""
