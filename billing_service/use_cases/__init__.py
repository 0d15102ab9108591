"""The verbs of billing, one module each."""
