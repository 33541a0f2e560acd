"""The local object cache: packs of small blobs, loose objects for large ones, and links to them."""
