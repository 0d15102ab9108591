"""What the sample data is made of: a small company with its plans, its customers and their calls."""
