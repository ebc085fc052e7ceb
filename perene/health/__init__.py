"""What is watched and how it stands: signals, the exporter that feeds them, the health verdict."""
