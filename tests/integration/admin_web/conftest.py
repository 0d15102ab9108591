"""A console with a small phone network behind it."""

from collections.abc import AsyncIterator

import pytest

from tests.support.console import Console, running_console
from tests.support.console_data import small_network


@pytest.fixture
async def console() -> AsyncIterator[Console]:
    """A running console; nobody is logged in."""
    async with running_console(prepare=small_network) as console:
        yield console


@pytest.fixture
async def inside(console: Console) -> Console:
    """A running console with an administrator logged in."""
    answer = await console.log_in()
    assert answer.status == 303
    return console
