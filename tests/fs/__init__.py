"""Tests of the file system for fsspec."""
