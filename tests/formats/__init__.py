"""Formats are promises: frozen bytes of every released version, and a second reader that knows only the pages."""
