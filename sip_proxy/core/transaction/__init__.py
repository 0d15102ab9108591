"""Transactions: one hop's request and its responses (RFC 3261 §17, RFC 6026)."""
