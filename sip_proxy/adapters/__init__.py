"""What the exchange talks to besides phones: directory, journal, control API, metrics."""
