"""The log tells where something broke, and nothing of what was worked on."""

import logging
from collections.abc import Iterator

import pytest
import structlog

from billing_service.log_setup import configure_logging
from billing_service.settings import LogFormat


@pytest.fixture(autouse=True)
def logging_as_before() -> Iterator[None]:
    root, configuration = logging.getLogger(), structlog.get_config()
    handlers, level = root.handlers, root.level
    yield
    root.handlers, root.level = handlers, level
    structlog.configure(**configuration)


@pytest.mark.parametrize("log_format", LogFormat)
def test_a_traceback_has_no_local_variables(
    log_format: LogFormat, capsys: pytest.CaptureFixture[str]
) -> None:
    configure_logging(log_format)
    password = "correct" + " horse"
    try:
        raise RuntimeError(f"broken in {len(password)} places")
    except RuntimeError:
        structlog.get_logger("test").exception("went_wrong")
    written = capsys.readouterr().err
    assert "broken in 13 places" in written
    assert "test_a_traceback_has_no_local_variables" in written
    assert "correct horse" not in written
