"""Settings from the environment, and the secrets that are made at the first start."""

import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from yarl import URL

from admin_web.settings import ListenAddress, LogFormat, SettingsError, load_settings


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    return {"TOLLBELL_VAR": str(tmp_path / "var")}


def test_without_any_setting_the_defaults_of_the_design_hold(environ: dict[str, str]) -> None:
    settings = load_settings(environ)
    assert settings.listen == ListenAddress("127.0.0.1", 8080)
    assert settings.billing_url == URL("http://127.0.0.1:8000")
    assert settings.exchange_url == URL("http://127.0.0.1:8060")
    assert settings.log_format is LogFormat.CONSOLE
    assert settings.idle_limit.total_seconds() == 600


def test_addresses_may_be_ipv6_names_or_whole_urls(environ: dict[str, str]) -> None:
    settings = load_settings(
        environ
        | {
            "TOLLBELL_ADMIN_HTTP": "[::1]:9000",
            "TOLLBELL_BILLING_HTTP": "billing:8000",
            "TOLLBELL_CONTROL_HTTP": "https://exchange.example/ignored",
        }
    )
    assert settings.listen == ListenAddress("::1", 9000)
    assert str(settings.listen) == "[::1]:9000"
    assert settings.billing_url == URL("http://billing:8000")
    assert settings.exchange_url == URL("https://exchange.example")


@pytest.mark.parametrize(
    ("listening", "reached"), [("0.0.0.0:8000", "http://127.0.0.1:8000"), ("[::]:8000", "http://[::1]:8000")]
)
def test_a_service_that_listens_everywhere_is_reached_on_this_machine(
    environ: dict[str, str], listening: str, reached: str
) -> None:
    assert load_settings(environ | {"TOLLBELL_BILLING_HTTP": listening}).billing_url == URL(reached)


@pytest.mark.parametrize("value", ["8080", "host:", ":8080", "host:port", "host:70000", "host:-1", "host:٣"])
def test_a_wrong_address_is_refused_by_the_name_of_its_variable(environ: dict[str, str], value: str) -> None:
    with pytest.raises(SettingsError, match="TOLLBELL_ADMIN_HTTP"):
        load_settings(environ | {"TOLLBELL_ADMIN_HTTP": value})


def test_a_wrong_log_format_is_refused(environ: dict[str, str]) -> None:
    with pytest.raises(SettingsError, match="TOLLBELL_LOG"):
        load_settings(environ | {"TOLLBELL_LOG": "xml"})


def test_secrets_are_made_once_and_only_for_their_owner(environ: dict[str, str]) -> None:
    first, second = load_settings(environ), load_settings(environ)
    assert first == second
    assert first.service_token != first.session_secret
    var = Path(environ["TOLLBELL_VAR"])
    assert {path.name for path in var.iterdir()} == {"service-token", "session-secret"}
    assert {stat.S_IMODE(path.stat().st_mode) for path in var.iterdir()} == {0o600}


def test_programs_that_start_together_agree_on_a_secret(environ: dict[str, str]) -> None:
    with ThreadPoolExecutor(16) as pool:
        tokens = set(pool.map(lambda _: load_settings(environ).service_token, range(64)))
    assert len(tokens) == 1


def test_secrets_may_be_given_or_read_from_a_file(environ: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("from a file\n")
    settings = load_settings(
        environ
        | {"TOLLBELL_SERVICE_TOKEN": "given", "TOLLBELL_SESSION_SECRET_FILE": str(tmp_path / "secret")}
    )
    assert (settings.service_token, settings.session_secret) == ("given", "from a file")
    assert not Path(environ["TOLLBELL_VAR"]).exists()


def test_an_unreadable_or_empty_secret_file_is_told(environ: dict[str, str], tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"TOLLBELL_SERVICE_TOKEN_FILE.*can't be read"):
        load_settings(environ | {"TOLLBELL_SERVICE_TOKEN_FILE": str(tmp_path / "missing")})
    (tmp_path / "empty").write_text("\n")
    with pytest.raises(SettingsError, match="empty"):
        load_settings(environ | {"TOLLBELL_SERVICE_TOKEN_FILE": str(tmp_path / "empty")})


def test_secrets_are_not_shown(environ: dict[str, str]) -> None:
    settings = load_settings(environ)
    assert settings.service_token not in repr(settings)
    assert settings.session_secret not in repr(settings)
