"""A simulated Pagos SpreadsheetWEB: bearer tokens, dedicated sessions, saved records."""
