"""Bindings and the location table (RFC 3261 §10)."""
