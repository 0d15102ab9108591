"""Log lines: in one form, and without what should not be in them."""

import logging
from collections.abc import Iterator

import pytest
import structlog

from sip_proxy.log import configure_logging
from sip_proxy.settings import LogFormat


@pytest.fixture(autouse=True)
def restored_logging() -> Iterator[None]:
    """Logging as it was before, for the tests that come later."""
    root, configuration = logging.getLogger(), structlog.get_config()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.configure(**configuration)


@pytest.mark.parametrize("log_format", LogFormat)
def test_a_traceback_has_no_local_variables(
    log_format: LogFormat, capsys: pytest.CaptureFixture[str]
) -> None:
    configure_logging(log_format)
    password = "do-not-show-me"
    try:
        raise ValueError(len(password))
    except ValueError:
        structlog.get_logger().exception("engine_error")

    written = capsys.readouterr().out
    assert "ValueError: 14" in written
    assert password not in written
