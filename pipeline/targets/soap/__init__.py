"""What targets that speak SOAP share: a WSDL's operations as envelopes, calls, and answers read with tolerance."""
