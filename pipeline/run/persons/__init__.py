"""Persons: found in run directories and in the campaign at the target, and erased from both."""
