"""The operator's tool: backup, restore, drill, health, and the gate that stops a change that would lose data."""
