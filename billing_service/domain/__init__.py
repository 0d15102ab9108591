"""Money, periods, plans, rating and bills as pure values and functions (standard library only)."""
