"""The proxy: where requests go and which response goes back (RFC 3261 §16)."""
