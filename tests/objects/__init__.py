"""Tests of vstore.objects: values and formats."""
