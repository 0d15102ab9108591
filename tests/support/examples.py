"""How many examples a property is tried with."""

import os

FACTOR = int(os.environ.get("TOLLBELL_TEST_EXAMPLES", "1"))


def examples(count: int) -> int:
    """The number of examples in `make test`; `make explore` takes many times as many, and always new ones."""
    return count * FACTOR
