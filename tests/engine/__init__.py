"""Engines, on a real cluster of processes."""
