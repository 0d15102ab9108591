"""What holds for the whole suite: the fixtures in `tests/support`, and how Hypothesis judges time."""

from hypothesis import settings

pytest_plugins = [
    "tests.support.database",
    "tests.support.billing",
    "tests.support.billing_process",
    "tests.support.printing",
]

# How long an example takes says more about what else the machine is doing.
settings.register_profile("tollbell", deadline=None)
settings.load_profile("tollbell")
