"""Tests of the transports over fsspec."""
