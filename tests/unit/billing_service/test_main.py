"""The command line: what is wrong is said in one line, with an exit status that tells whose fault it is."""

from collections.abc import Callable
from pathlib import Path

import pytest

from billing_service.__main__ import main


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., None]:
    """Set the settings of the programs, on a directory of the test's own."""
    monkeypatch.setenv("TOLLBELL_VAR", str(tmp_path))
    # The log of this process is pytest's.
    monkeypatch.setattr("billing_service.__main__.configure_logging", lambda log_format: None)

    def set_settings(**settings: str) -> None:
        for name, value in settings.items():
            monkeypatch.setenv(name, value)

    return set_settings


@pytest.mark.parametrize("command", ["serve", "postgres", "migrate", "sample-data", "create-administrator"])
def test_a_setting_without_sense_ends_every_command_with_status_2(
    environment: Callable[..., None], capsys: pytest.CaptureFixture[str], command: str
) -> None:
    environment(TOLLBELL_TIMEZONE="Mars/Olympus")
    arguments = [command, "ann"] if command == "create-administrator" else [command]
    assert main(arguments) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line == (
        "billing_service: TOLLBELL_TIMEZONE: 'Mars/Olympus' is not an IANA time zone such as Europe/Zurich"
    )


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("TOLLBELL_CURRENCY", "dollars"),
        ("TOLLBELL_LOG", "xml"),
        ("TOLLBELL_BILLING_HTTP", "8000"),
        ("TOLLBELL_CLOSING_TIME", "24:00"),
        ("TOLLBELL_SIP_DOMAIN", "a b"),
        ("TOLLBELL_DATABASE_URL", "mysql://localhost/x"),
        ("TOLLBELL_SERVICE_TOKEN_FILE", "/nonexistent"),
    ],
)
def test_every_setting_without_sense_is_named(
    environment: Callable[..., None], capsys: pytest.CaptureFixture[str], name: str, value: str
) -> None:
    environment(**{name: value})
    assert main(["serve"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"billing_service: {name}")


@pytest.mark.parametrize(
    "url", ["redis://guest:secret-word@localhost", "amqp://", "amqp://secret-word@[", "x"]
)
def test_a_broker_that_is_none_is_refused_without_telling_its_password(
    environment: Callable[..., None], capsys: pytest.CaptureFixture[str], url: str
) -> None:
    environment(TOLLBELL_BROKER_URL=url)
    assert main(["serve"]) == 2
    told = capsys.readouterr().err
    assert told.startswith("billing_service: TOLLBELL_BROKER_URL: it is not a broker's address")
    assert "secret-word" not in told


def test_a_database_of_ones_own_has_no_embedded_server(
    environment: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    environment(TOLLBELL_DATABASE_URL="postgresql://localhost/x")
    assert main(["postgres"]) == 1
    assert "TOLLBELL_DATABASE_URL is set" in capsys.readouterr().err


def test_an_unknown_command_shows_the_usage(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["bake"])
    assert ended.value.code == 2
    assert "usage: python -m billing_service" in capsys.readouterr().err
