"""A simulated Intelliview NXT: application sessions over SOAP, with answers that are XML in a string."""
