"""The tool's version, as manifests and drill records carry it (the same as in pyproject.toml)."""

VERSION = "0.1.0"
