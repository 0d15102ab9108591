"""The supervisor's settings: environment variables in, a frozen object or a clear refusal out."""

from pathlib import Path

import pytest

from tollbell.settings import Address, SettingsError, parse_address, read_settings


def test_an_empty_environment_gives_the_documented_defaults() -> None:
    settings = read_settings({})

    assert settings.var == Path("var").absolute()
    assert settings.database_url is None
    assert settings.billing_http == Address("127.0.0.1", 8000)
    assert settings.admin_http == Address("127.0.0.1", 8080)
    assert settings.control_http == Address("127.0.0.1", 8060)
    assert settings.sip_udp == settings.sip_tcp == Address("0.0.0.0", 5060)
    assert settings.sample_data


def test_an_empty_variable_means_the_default() -> None:
    assert read_settings({"TOLLBELL_ADMIN_HTTP": ""}).admin_http.port == 8080


def test_a_secret_may_stand_in_a_file(tmp_path: Path) -> None:
    file = tmp_path / "url"
    file.write_text("postgresql://db/tollbell\n")

    assert read_settings({"TOLLBELL_DATABASE_URL_FILE": str(file)}).database_url == "postgresql://db/tollbell"


@pytest.mark.parametrize(
    "text", ["", "8080", ":8080", "host:", "host:port", "host:0", "host:65536", "host:-1", "host:٣"]
)
def test_a_bad_address_is_refused_by_the_name_of_its_setting(text: str) -> None:
    with pytest.raises(SettingsError, match="TOLLBELL_ADMIN_HTTP"):
        parse_address(text, "TOLLBELL_ADMIN_HTTP")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("0.0.0.0:5060", "127.0.0.1:5060"),
        ("[::]:5060", "[::1]:5060"),
        ("192.0.2.1:1", "192.0.2.1:1"),
        ("sip.example:5060", "sip.example:5060"),
    ],
)
def test_an_address_is_shown_as_one_to_connect_to(text: str, shown: str) -> None:
    assert str(parse_address(text, "X")) == shown


@pytest.mark.parametrize(("text", "wanted"), [("no", False), ("0", False), ("YES", True), ("on", True)])
def test_sample_data_can_be_declined(text: str, wanted: bool) -> None:
    assert read_settings({"TOLLBELL_SAMPLE_DATA": text}).sample_data is wanted


def test_sample_data_takes_yes_or_no_only() -> None:
    with pytest.raises(SettingsError, match="TOLLBELL_SAMPLE_DATA"):
        read_settings({"TOLLBELL_SAMPLE_DATA": "maybe"})
