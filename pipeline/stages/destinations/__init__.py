"""Texts to destinations: what the authorities on phone numbers and mail addresses say of each."""
