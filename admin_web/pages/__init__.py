"""A handler module per page."""
