"""Schema changes that never lose data: plan, rehearse, apply, revert, status (docs/adr/0060-migration-engine.md)."""
