"""Settings come from the environment; a bad one is named with what it should look like."""

from datetime import time
from pathlib import Path

import pytest

from billing_service.errors import BadSetting
from billing_service.settings import Address, LogFormat, Settings


def read(var: Path, **environment: str) -> Settings:
    return Settings.from_environment({"TOLLBELL_VAR": str(var), **environment})


def test_defaults(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    settings = Settings.from_environment({})
    assert settings.var == tmp_path / "var"
    assert settings.uses_embedded_database
    assert settings.database_url.query["host"] == str(tmp_path / "var/postgres/socket")
    assert settings.http == Address("127.0.0.1", 8000)
    assert settings.sip_domain == "tollbell.local"
    assert settings.service_token is None
    assert settings.timezone.key == "UTC"
    assert settings.currency.code == "USD"
    assert settings.closing_time == time(0, 0)
    assert settings.log_format is LogFormat.CONSOLE
    assert settings.broker_url is None
    assert settings.webhook_private


def test_an_empty_variable_counts_as_unset(tmp_path: Path) -> None:
    assert read(tmp_path, TOLLBELL_BILLING_HTTP="", TOLLBELL_SERVICE_TOKEN="") == read(tmp_path)


@pytest.mark.parametrize("scheme", ["postgresql", "postgresql+psycopg2", "postgresql+psycopg"])
def test_a_database_of_ones_own_is_used_with_our_driver(tmp_path: Path, scheme: str) -> None:
    settings = read(tmp_path, TOLLBELL_DATABASE_URL=f"{scheme}://user:p%40ss@db.example:5433/tollbell")
    assert not settings.uses_embedded_database
    assert settings.database_url.drivername == "postgresql+psycopg2"
    assert (settings.database_url.host, settings.database_url.password) == ("db.example", "p@ss")


@pytest.mark.parametrize("name", ["TOLLBELL_SERVICE_TOKEN", "TOLLBELL_DATABASE_URL"])
def test_a_secret_may_be_in_a_file(tmp_path: Path, name: str) -> None:
    file = tmp_path / "secret"
    file.write_text("postgresql://db/tollbell\n")
    settings = read(tmp_path, **{f"{name}_FILE": str(file)})
    found = settings.service_token or settings.database_url.render_as_string()
    assert found in ("postgresql://db/tollbell", "postgresql+psycopg2://db/tollbell")


def test_a_broker_and_where_webhooks_may_lead(tmp_path: Path) -> None:
    file = tmp_path / "broker"
    file.write_text("amqps://user:word@broker.example/vhost\n")
    settings = read(tmp_path, TOLLBELL_BROKER_URL_FILE=str(file), TOLLBELL_WEBHOOK_PRIVATE="no")
    assert settings.broker_url == "amqps://user:word@broker.example/vhost"
    assert not settings.webhook_private
    assert read(tmp_path, TOLLBELL_BROKER_URL="").broker_url is None


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("0.0.0.0:80", Address("0.0.0.0", 80)),
        ("localhost:0", Address("localhost", 0)),
        ("[::1]:8000", Address("::1", 8000)),
    ],
)
def test_addresses(tmp_path: Path, text: str, address: Address) -> None:
    settings = read(tmp_path, TOLLBELL_BILLING_HTTP=text)
    assert settings.http == address
    assert str(settings.http) == text


@pytest.mark.parametrize("domain", ["tollbell.local", "Example.ORG", "192.0.2.1", "[2001:db8::1]", "x"])
def test_the_domain_stays_as_it_is_written(tmp_path: Path, domain: str) -> None:
    assert read(tmp_path, TOLLBELL_SIP_DOMAIN=domain).sip_domain == domain


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("TOLLBELL_BILLING_HTTP", "8000"),
        ("TOLLBELL_BILLING_HTTP", ":8000"),
        ("TOLLBELL_BILLING_HTTP", "host:port"),
        ("TOLLBELL_BILLING_HTTP", "host:65536"),
        ("TOLLBELL_BILLING_HTTP", "host:٨"),
        ("TOLLBELL_BILLING_HTTP", "::1:8000"),
        ("TOLLBELL_BILLING_HTTP", "[::g]:8000"),
        ("TOLLBELL_DATABASE_URL", "mysql://localhost/x"),
        ("TOLLBELL_DATABASE_URL", "no address"),
        ("TOLLBELL_SIP_DOMAIN", "with space"),
        ("TOLLBELL_SIP_DOMAIN", "x" * 254),
        ("TOLLBELL_SIP_DOMAIN", "line\n"),
        ("TOLLBELL_SIP_DOMAIN", 'quote".example'),
        ("TOLLBELL_TIMEZONE", "Mars/Olympus"),
        ("TOLLBELL_TIMEZONE", "../etc/passwd"),
        ("TOLLBELL_TIMEZONE", "/etc/localtime"),
        ("TOLLBELL_CURRENCY", "usd"),
        ("TOLLBELL_CURRENCY", "EURO"),
        ("TOLLBELL_CLOSING_TIME", "24:00"),
        ("TOLLBELL_CLOSING_TIME", "midnight"),
        ("TOLLBELL_LOG", "loud"),
        ("TOLLBELL_WEBHOOK_PRIVATE", "perhaps"),
        ("TOLLBELL_BROKER_URL", "http://broker.example"),
        ("TOLLBELL_BROKER_URL", "amqp://:5672"),
        ("TOLLBELL_SERVICE_TOKEN_FILE", "/nonexistent/token"),
    ],
)
def test_a_setting_without_sense_is_named(tmp_path: Path, name: str, value: str) -> None:
    with pytest.raises(BadSetting) as refused:
        read(tmp_path, **{name: value})
    text = str(refused.value)
    assert text.startswith(f"{name}: ")
    assert "\n" not in text


def test_a_secret_given_twice_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadSetting, match="not both"):
        read(tmp_path, TOLLBELL_SERVICE_TOKEN="a", TOLLBELL_SERVICE_TOKEN_FILE=str(tmp_path / "token"))


def test_an_empty_secret_file_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("\n")
    with pytest.raises(BadSetting, match="is empty"):
        read(tmp_path, TOLLBELL_SERVICE_TOKEN_FILE=str(file))


def test_a_bad_database_address_does_not_show_its_password(tmp_path: Path) -> None:
    with pytest.raises(BadSetting) as refused:
        read(tmp_path, TOLLBELL_DATABASE_URL="mysql://user:hush@localhost/x")
    assert "hush" not in str(refused.value)
