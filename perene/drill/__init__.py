"""Restoring on a schedule, and proving that damage would be noticed."""
