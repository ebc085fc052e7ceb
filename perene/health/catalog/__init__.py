"""The watched signals by subject, as data."""
