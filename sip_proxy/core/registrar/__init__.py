"""The registrar and its location table (RFC 3261 §10)."""
