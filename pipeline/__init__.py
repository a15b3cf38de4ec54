"""Bulk contact import for contact centres: every row accounted for."""

__version__ = "0.1.0"
