"""Dialogs, the call state, and the call record that comes out of it."""
