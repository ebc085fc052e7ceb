"""Typed configuration: strict models, rules between fields, and one error that names everything that is wrong."""
