"""The way of a row: read, screen, encode, deliver, settle."""
