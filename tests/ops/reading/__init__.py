"""Tests of reading without checking out."""
