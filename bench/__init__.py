"""Benchmarks: figures with their reference, measured in the same run (`make bench-sip`)."""
