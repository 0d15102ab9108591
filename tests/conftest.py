"""What holds for the whole suite: the fixtures of `tests/support`, Hypothesis, and how errors are logged."""

import gc
import os

import structlog
from hypothesis import settings

from sip_proxy.compiled import use_compiled
from tests.support.examples import FACTOR

pytest_plugins = [
    "tests.support.distribution",
    "tests.support.database",
    "tests.support.billing",
    "tests.support.billing_process",
    "tests.support.printing",
    "tests.support.rabbitmq",
    "tests.support.receiver",
]

# How long an example takes says more about what else the machine does. `make test` draws the same examples
# every time, so that a red run means a change; `make explore` draws new ones, and many more of them.
settings.register_profile("tollbell", deadline=None, derandomize=FACTOR == 1, print_blob=True)
settings.load_profile("tollbell")

# As our programs do: drawing a traceback with every variable takes seconds.
structlog.configure(
    processors=[
        *structlog.get_config()["processors"][:-1],
        structlog.dev.ConsoleRenderer(colors=False, exception_formatter=structlog.dev.plain_traceback),
    ]
)


def pytest_collection_finish() -> None:
    """Tell the garbage collector that all that is there by now stays: it need not look at it again."""
    gc.collect()
    gc.freeze()


# `make test-compiled` holds the compiled core against the tests of its sources, in this process and in those
# that it starts; else nothing is compiled, whatever lies in `build/`.
IS_COMPILED = os.environ.get("TOLLBELL_TEST_COMPILED") == "yes"
os.environ["TOLLBELL_COMPILED"] = "yes" if IS_COMPILED else "no"
if IS_COMPILED and not use_compiled():
    raise RuntimeError("there is no compiled core of these sources: make compiled")
