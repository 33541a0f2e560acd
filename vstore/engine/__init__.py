"""Engines: doing the parts of a job in processes of other machines, which a scheduler hands out."""
