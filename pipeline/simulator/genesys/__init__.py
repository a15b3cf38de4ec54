"""A simulated Genesys Web Services: agents' contact centre sessions, and outbound records."""
