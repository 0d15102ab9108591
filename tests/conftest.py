"""Fixtures for the whole suite live in `tests/support`; this file only makes them known to pytest."""

pytest_plugins = [
    "tests.support.database",
    "tests.support.billing",
    "tests.support.billing_process",
    "tests.support.printing",
]
