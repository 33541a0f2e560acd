"""Remotes: bytes at keys in some store, and the layout, index and packs that vstore keeps there."""
