"""Time that passes in this process, as opposed to the money and the calendar of the domain."""

Seconds = float
"""A duration or an instant of the monotonic clock. Floating point is for clocks; money never has it."""
