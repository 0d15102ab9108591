"""The exchange's settings: environment variables, and a clear word about each bad one."""

import stat
import threading
from pathlib import Path

import pytest

from sip_proxy.secret_file import read_or_create_secret
from sip_proxy.settings import (
    ListenAddress,
    LogFormat,
    SettingsError,
    TlsSettings,
    read_compiled,
    read_settings,
)


def read(tmp_path: Path, **environment: str) -> object:
    return read_settings({"TOLLBELL_VAR": str(tmp_path), **environment})


def test_defaults(tmp_path: Path) -> None:
    settings = read_settings({"TOLLBELL_VAR": str(tmp_path)})

    assert settings.var == tmp_path
    assert settings.domain == "tollbell.local"
    assert settings.sip_udp == ListenAddress("0.0.0.0", 5060)
    assert settings.sip_tcp == ListenAddress("0.0.0.0", 5060)
    assert settings.sip_tls is None
    assert settings.sip_ws == ListenAddress("127.0.0.1", 8088)
    assert settings.control_http == ListenAddress("127.0.0.1", 8060)
    assert settings.billing_url == "http://127.0.0.1:8000"
    assert settings.log_format is LogFormat.CONSOLE


def test_everything_can_be_set(tmp_path: Path) -> None:
    settings = read_settings(
        {
            "TOLLBELL_VAR": str(tmp_path),
            "TOLLBELL_SIP_DOMAIN": "phones.example",
            "TOLLBELL_SIP_UDP": "[::1]:5070",
            "TOLLBELL_SIP_TCP": "192.0.2.1:0",
            "TOLLBELL_SIP_WS": "0.0.0.0:8089",
            "TOLLBELL_CONTROL_HTTP": "localhost:9000",
            "TOLLBELL_BILLING_HTTP": "billing:8000",
            "TOLLBELL_SERVICE_TOKEN": "token",
            "TOLLBELL_LOG": "json",
        }
    )

    assert settings.domain == "phones.example"
    assert settings.sip_udp == ListenAddress("::1", 5070)
    assert settings.sip_tcp == ListenAddress("192.0.2.1", 0)
    assert settings.sip_ws == ListenAddress("0.0.0.0", 8089)
    assert settings.control_http == ListenAddress("localhost", 9000)
    assert settings.billing_url == "http://billing:8000"
    assert settings.service_token == "token"
    assert settings.log_format is LogFormat.JSON


@pytest.mark.parametrize(
    ("given", "url"),
    [
        ("0.0.0.0:8000", "http://127.0.0.1:8000"),
        ("[::]:8000", "http://[::1]:8000"),
        ("https://billing.example/", "https://billing.example"),
    ],
)
def test_billing_is_reached_where_it_can_be(tmp_path: Path, given: str, url: str) -> None:
    settings = read_settings({"TOLLBELL_VAR": str(tmp_path), "TOLLBELL_BILLING_HTTP": given})

    assert settings.billing_url == url


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("TOLLBELL_SIP_UDP", "5060"),
        ("TOLLBELL_SIP_UDP", ":5060"),
        ("TOLLBELL_SIP_TCP", "127.0.0.1:99999"),
        ("TOLLBELL_SIP_TCP", "127.0.0.1:-1"),
        ("TOLLBELL_CONTROL_HTTP", "127.0.0.1"),
        ("TOLLBELL_BILLING_HTTP", "127.0.0.1:x"),
        ("TOLLBELL_SIP_DOMAIN", 'a"b'),
        ("TOLLBELL_SIP_DOMAIN", "a b"),
        ("TOLLBELL_LOG", "xml"),
        ("TOLLBELL_SIP_TLS_CERTIFICATE", "/nowhere/certificate.pem"),
        ("TOLLBELL_SERVICE_TOKEN_FILE", "/nowhere/token"),
    ],
)
def test_a_bad_value_is_named(tmp_path: Path, name: str, value: str) -> None:
    with pytest.raises(SettingsError, match=name):
        read(tmp_path, **{name: value})


def test_a_certificate_needs_its_key(tmp_path: Path) -> None:
    certificate = tmp_path / "certificate.pem"
    certificate.touch()

    with pytest.raises(SettingsError, match="TOLLBELL_SIP_TLS_KEY"):
        read(tmp_path, TOLLBELL_SIP_TLS_CERTIFICATE=str(certificate))


def test_a_certificate_turns_tls_on(tmp_path: Path) -> None:
    certificate, key = tmp_path / "certificate.pem", tmp_path / "key.pem"
    certificate.touch()
    key.touch()
    settings = read_settings(
        {
            "TOLLBELL_VAR": str(tmp_path),
            "TOLLBELL_SIP_TLS_CERTIFICATE": str(certificate),
            "TOLLBELL_SIP_TLS_KEY": str(key),
        }
    )

    assert settings.sip_tls == TlsSettings(ListenAddress("0.0.0.0", 5061), certificate, key)


def test_the_service_token_is_made_once_and_is_its_owners_alone(tmp_path: Path) -> None:
    first = read_settings({"TOLLBELL_VAR": str(tmp_path / "new")}).service_token
    second = read_settings({"TOLLBELL_VAR": str(tmp_path / "new")}).service_token
    path = tmp_path / "new" / "service-token"

    assert first == second == path.read_text().strip()
    assert len(first) >= 32
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [one.name for one in path.parent.iterdir()] == ["service-token"]


def test_the_service_token_may_come_from_a_file(tmp_path: Path) -> None:
    (tmp_path / "given").write_text("  from a file\n")
    settings = read_settings(
        {"TOLLBELL_VAR": str(tmp_path), "TOLLBELL_SERVICE_TOKEN_FILE": str(tmp_path / "given")}
    )

    assert settings.service_token == "from a file"
    assert not (tmp_path / "service-token").exists()


@pytest.mark.parametrize("name", ["service-token", "given"])
def test_an_empty_token_file_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("\n")
    environment = {"TOLLBELL_SERVICE_TOKEN_FILE": str(tmp_path / "given")} if name == "given" else {}

    with pytest.raises(SettingsError, match="empty"):
        read(tmp_path, **environment)


def test_the_service_token_is_not_shown(tmp_path: Path) -> None:
    assert "hush" not in repr(read(tmp_path, TOLLBELL_SERVICE_TOKEN="hush"))


def test_programs_that_start_together_agree_on_one_secret(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    barrier = threading.Barrier(8)
    secrets: list[str] = []

    def start() -> None:
        barrier.wait()
        secrets.append(read_or_create_secret(path))

    threads = [threading.Thread(target=start) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert set(secrets) == {path.read_text().strip()}
    assert len(secrets) == 8


def test_intervals_are_numbers_of_seconds(tmp_path: Path) -> None:
    settings = read_settings(
        {"TOLLBELL_VAR": str(tmp_path), "TOLLBELL_SIP_PING_S": "1.5", "TOLLBELL_SIP_SESSION_S": "90"}
    )

    assert (settings.ping_interval_s, settings.session_interval_s) == (1.5, 90)


@pytest.mark.parametrize("value", ["0", "-1", "soon", "1e3", "inf", "nan", "86401", "٣"])
@pytest.mark.parametrize("name", ["TOLLBELL_SIP_PING_S", "TOLLBELL_SIP_SESSION_S"])
def test_an_interval_that_makes_no_sense_is_refused(tmp_path: Path, name: str, value: str) -> None:
    with pytest.raises(SettingsError, match=name):
        read_settings({"TOLLBELL_VAR": str(tmp_path), name: value})


def test_no_session_timer_is_shorter_than_phones_may_accept(tmp_path: Path) -> None:
    """RFC 4028 §4: less than 90 s is against the standard, and phones refuse it with 422."""
    with pytest.raises(SettingsError, match="from 90 to 86400"):
        read_settings({"TOLLBELL_VAR": str(tmp_path), "TOLLBELL_SIP_SESSION_S": "89"})


def test_whether_to_run_compiled_is_yes_or_no() -> None:
    assert [read_compiled({"TOLLBELL_COMPILED": text}) for text in ("", "yes", "no")] == [True, True, False]
    assert read_compiled({})
    with pytest.raises(SettingsError, match="TOLLBELL_COMPILED is 'off'; it should be yes or no"):
        read_compiled({"TOLLBELL_COMPILED": "off"})


def test_messages_kept_for_ladders_are_a_number(tmp_path: Path) -> None:
    assert read_settings({"TOLLBELL_VAR": str(tmp_path)}).trace_messages == 10_000
    assert read_settings({"TOLLBELL_VAR": str(tmp_path), "TOLLBELL_TRACE_MESSAGES": "0"}).trace_messages == 0
    with pytest.raises(SettingsError, match="TOLLBELL_TRACE_MESSAGES"):
        read_settings({"TOLLBELL_VAR": str(tmp_path), "TOLLBELL_TRACE_MESSAGES": "-1"})


def test_keep_alives_for_phones_behind_nat_can_be_turned_off(tmp_path: Path) -> None:
    assert read_settings({"TOLLBELL_VAR": str(tmp_path)}).nat_keep_alive_s == 25
    off = {"TOLLBELL_VAR": str(tmp_path), "TOLLBELL_SIP_NAT_KEEP_ALIVE_S": "0"}
    assert read_settings(off).nat_keep_alive_s == 0


def test_how_long_messages_wait_for_others_is_given_in_milliseconds(tmp_path: Path) -> None:
    var = {"TOLLBELL_VAR": str(tmp_path)}
    assert read_settings(var).round_s == 0.06
    assert read_settings({**var, "TOLLBELL_SIP_ROUND_MS": "0"}).round_s == 0
    assert read_settings({**var, "TOLLBELL_SIP_ROUND_MS": "200"}).round_s == 0.2
    for wrong in ("201", "-1", "a moment", "0.5"):
        with pytest.raises(SettingsError, match="TOLLBELL_SIP_ROUND_MS"):
            read_settings({**var, "TOLLBELL_SIP_ROUND_MS": wrong})


def test_wss_goes_with_the_certificate(tmp_path: Path) -> None:
    certificate, key = tmp_path / "certificate.pem", tmp_path / "key.pem"
    environment = {"TOLLBELL_VAR": str(tmp_path), "TOLLBELL_SIP_WSS": "0.0.0.0:8089"}
    with pytest.raises(SettingsError, match="TOLLBELL_SIP_WSS"):
        read_settings(environment)
    for path, name in ((certificate, "CERTIFICATE"), (key, "KEY")):
        path.touch()
        environment[f"TOLLBELL_SIP_TLS_{name}"] = str(path)
    tls = read_settings(environment).sip_tls

    assert tls is not None
    assert tls.websocket == ListenAddress("0.0.0.0", 8089)
