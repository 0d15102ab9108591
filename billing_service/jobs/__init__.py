"""What runs by the clock: the daily closing."""
