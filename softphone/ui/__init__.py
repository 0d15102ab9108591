"""The window. The only home of PyQt6."""
