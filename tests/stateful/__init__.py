"""Whole stories against a model: any order of actions, death at any step."""
