"""What a stateful proxy does with a request and its responses (RFC 3261 §16)."""
