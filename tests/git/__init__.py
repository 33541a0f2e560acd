"""Tests of ``vstore.git``."""
