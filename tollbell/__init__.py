"""The supervisor behind `make run`: starts the parts, watches them, stops them."""
