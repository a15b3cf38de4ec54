"""What the subjects share: the list, the server, the ceiling, cores, rounds and tables."""
