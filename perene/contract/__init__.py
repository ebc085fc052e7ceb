"""Shared value types and the versioned documents that the program, the jobs and the CLI exchange."""
