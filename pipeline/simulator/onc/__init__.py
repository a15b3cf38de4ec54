"""A simulated ONC service: strict about its contract, with campaigns and contacts."""
