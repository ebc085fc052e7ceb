"""Bringing a set back, beside the data or in its place, and comparing it."""
