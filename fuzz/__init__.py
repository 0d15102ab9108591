"""Coverage-guided fuzzing of the exchange with atheris: `make fuzz`."""
