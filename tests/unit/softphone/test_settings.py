"""The softphone's settings: command line, environment, sample data."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from softphone.engine.commands import Transport
from softphone.settings import Options, Settings, SettingsError, read_settings


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """A machine on which the sample data was made."""
    sample = {
        "administrator": {"login": "admin", "password": "x"},
        "phones": [{"number": "0001", "display_name": "Alice Example", "password": "sample"}],
    }
    (tmp_path / "sample-credentials.json").write_text(json.dumps(sample))
    return {"TOLLBELL_VAR": str(tmp_path)}


def read(environment: dict[str, str], **options: object) -> Settings:
    return read_settings(Options(**{"number": "0001", **options}), environment)  # type: ignore[arg-type]


def test_a_sample_number_needs_nothing_but_itself(environment: dict[str, str]) -> None:
    assert read(environment) == Settings(
        number="0001",
        password="sample",
        server="127.0.0.1:5060",
        domain="tollbell.local",
        transport=Transport.UDP,
        display_name="Alice Example",
    )


def test_the_settings_of_the_exchange_are_followed(environment: dict[str, str]) -> None:
    environment |= {
        "TOLLBELL_SIP_UDP": "0.0.0.0:15060",
        "TOLLBELL_SIP_TCP": "192.0.2.7:25060",
        "TOLLBELL_SIP_DOMAIN": "phones.example",
    }

    assert read(environment).server == "127.0.0.1:15060"
    assert read(environment, transport=Transport.TCP).server == "192.0.2.7:25060"
    assert read(environment).domain == "phones.example"


def test_the_command_line_comes_before_the_environment(environment: dict[str, str]) -> None:
    environment |= {"TOLLBELL_SIP_UDP": "0.0.0.0:15060", "TOLLBELL_SIP_DOMAIN": "phones.example"}

    settings = read(environment, server="sip.example", domain="other.example", display_name="")

    assert (settings.server, settings.domain, settings.display_name) == (
        "sip.example:5060",
        "other.example",
        "",
    )


@pytest.mark.parametrize("server", ["", ":5060", "host:", "host:sip", "host:0", "host:65536"])
def test_a_server_that_cannot_be_is_refused(environment: dict[str, str], server: str) -> None:
    if not server:
        assert read(environment, server=server).server == "127.0.0.1:5060"
        return
    with pytest.raises(SettingsError, match="host:port"):
        read(environment, server=server)


@pytest.mark.parametrize("number", ["", "alice", "00 01", "+41"])
def test_a_number_is_digits(environment: dict[str, str], number: str) -> None:
    with pytest.raises(SettingsError, match="digits"):
        read(environment, number=number)


def test_passwords_are_looked_for_from_the_most_to_the_least_explicit(
    environment: dict[str, str], tmp_path: Path
) -> None:
    (tmp_path / "given").write_text("from the option\n")
    (tmp_path / "named").write_text("from the named file\n")
    assert read(environment).password == "sample"
    environment["TOLLBELL_PHONE_PASSWORD"] = "from the environment"
    assert read(environment).password == "from the environment"
    environment["TOLLBELL_PHONE_PASSWORD_FILE"] = str(tmp_path / "named")
    assert read(environment).password == "from the named file"
    assert read(environment, password_file=tmp_path / "given").password == "from the option"


def test_a_missing_password_says_what_to_do(environment: dict[str, str]) -> None:
    with pytest.raises(SettingsError, match=r"no password for 0099.*--password-file"):
        read(environment, number="0099")


def test_a_password_file_that_is_not_there_is_named(environment: dict[str, str], tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="nowhere"):
        read(environment, password_file=tmp_path / "nowhere")


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"phones": [{}]}', '{"phones": 5}'])
def test_sample_data_that_cannot_be_read_is_named(
    environment: dict[str, str], tmp_path: Path, content: str
) -> None:
    (tmp_path / "sample-credentials.json").write_text(content)

    with pytest.raises(SettingsError, match=r"sample-credentials\.json"):
        read(environment)


def test_no_sample_data_is_no_problem_when_there_is_a_password(tmp_path: Path) -> None:
    settings = read({"TOLLBELL_VAR": str(tmp_path / "none"), "TOLLBELL_PHONE_PASSWORD": "secret"})

    assert (settings.password, settings.display_name) == ("secret", "")


@pytest.mark.parametrize(
    ("server", "bind_address"),
    [
        ("127.0.0.1:5060", "127.0.0.1"),
        ("127.0.0.9:5060", "127.0.0.1"),
        ("localhost:5060", "127.0.0.1"),
        ("192.0.2.1:5060", ""),
    ],
)
def test_the_loopback_interface_is_used_only_for_an_exchange_that_is_there(
    environment: dict[str, str], server: str, bind_address: str
) -> None:
    assert read(environment, server=server).start_up().bind_address == bind_address


def test_the_password_is_in_no_representation(environment: dict[str, str]) -> None:
    assert "sample" not in repr(read(environment))
    assert read(environment).register().password == "sample"
