"""Working files and what stands for them: scanning, hashing, pointers, and making a directory equal a tree."""
