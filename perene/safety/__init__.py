"""What stands between a preview and its application: the catalogue, the gate, approval and promotion."""
