"""What rating, taking in, closing and reading calls costs, beside plain SQL doing the same."""
