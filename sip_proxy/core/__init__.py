"""The sans-IO core: bytes and a clock value in; bytes, events and a next deadline out."""
