"""A desk phone on the screen."""
