"""Typed components, one per file: a frozen argument class and a ComponentResource."""
