"""PostgreSQL: consistent dumps and the fingerprint of what was dumped."""
