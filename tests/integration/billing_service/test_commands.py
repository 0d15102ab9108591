"""The commands of `python -m billing_service` that come to an end by themselves, on a real database."""

import io
import json
import socket
import stat
import time
from pathlib import Path

import pytest
from sqlalchemy import URL, func, select

from billing_service.__main__ import main
from billing_service.domain.permissions import Role
from billing_service.storage.engine import make_engine
from billing_service.storage.migrations import require_current
from billing_service.storage.tables import Call
from billing_service.storage.unit_of_work import Database
from billing_service.use_cases.administrators import find_credentials, find_role, password_matches
from tests.support.billing_process import BillingPrograms, eventually
from tests.support.ports import free_port


@pytest.fixture(autouse=True)
def own_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TOLLBELL_VAR", str(tmp_path))
    # The log of this process is pytest's.
    monkeypatch.setattr("billing_service.__main__.configure_logging", lambda log_format: None)


def use(monkeypatch: pytest.MonkeyPatch, url: URL) -> None:
    monkeypatch.setenv("TOLLBELL_DATABASE_URL", url.render_as_string(hide_password=False))


def signs_in(database: Database, login: str, password: str) -> bool:
    return database.run_blocking(lambda session: password_matches(find_credentials(session, login), password))


def test_migrate_brings_an_empty_database_up_to_date(
    monkeypatch: pytest.MonkeyPatch, empty_database_url: URL
) -> None:
    use(monkeypatch, empty_database_url)
    assert main(["migrate"]) == 0
    assert main(["migrate"]) == 0
    engine = make_engine(empty_database_url)
    require_current(engine)
    engine.dispose()


@pytest.mark.parametrize("command", [["sample-data"], ["serve"], ["create-administrator", "ann"]])
def test_a_database_without_tables_is_refused_with_the_command_to_run(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    empty_database_url: URL,
    command: list[str],
) -> None:
    use(monkeypatch, empty_database_url)
    monkeypatch.setattr("sys.stdin", io.StringIO("correct horse battery\n"))
    assert main(command) == 1
    assert "run python -m billing_service migrate" in capsys.readouterr().err


def test_an_administrator_is_created_with_the_password_given(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], database_url: URL, database: Database
) -> None:
    use(monkeypatch, database_url)
    monkeypatch.setattr("sys.stdin", io.StringIO("correct horse battery\n"))
    assert main(["create-administrator", "Ann", "--name", "Ann Admin"]) == 0
    assert capsys.readouterr().out == ""
    assert signs_in(database, "ann", "correct horse battery")
    assert not signs_in(database, "ann", "correct horse batterx")

    monkeypatch.setattr("sys.stdin", io.StringIO("another password\n"))
    assert main(["create-administrator", "ANN"]) == 1
    assert capsys.readouterr().err == "billing_service: There is already an administrator ann.\n"
    assert signs_in(database, "ann", "correct horse battery")


def test_an_administrator_may_be_given_less_than_everything(
    monkeypatch: pytest.MonkeyPatch, database_url: URL, database: Database
) -> None:
    use(monkeypatch, database_url)
    monkeypatch.setattr("sys.stdin", io.StringIO("correct horse battery\n"))
    assert main(["create-administrator", "bob", "--role", "viewer"]) == 0
    assert database.run_blocking(lambda session: find_role(session, "bob")) is Role.VIEWER
    with pytest.raises(SystemExit):
        main(["create-administrator", "eve", "--role", "king"])


def test_a_drawn_password_is_printed_once(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], database_url: URL, database: Database
) -> None:
    use(monkeypatch, database_url)
    assert main(["create-administrator", "ann", "--draw-password"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert signs_in(database, printed["login"], printed["password"])


@pytest.mark.parametrize(
    ("login", "password"), [("a b", "correct horse battery"), ("ann", "short"), ("ann", "")]
)
def test_an_administrator_without_sense_is_refused(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    database_url: URL,
    login: str,
    password: str,
) -> None:
    use(monkeypatch, database_url)
    monkeypatch.setattr("sys.stdin", io.StringIO(password + "\n"))
    assert main(["create-administrator", login]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("billing_service: ")


def test_sample_data_are_loaded_once_and_their_passwords_are_private(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, database_url: URL, database: Database
) -> None:
    use(monkeypatch, database_url)

    def calls() -> int:
        return database.run_blocking(
            lambda session: session.scalars(select(func.count(Call.record_id))).one()
        )

    assert main(["sample-data"]) == 0
    file = tmp_path / "sample-credentials.json"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    before, loaded = file.read_text(), calls()
    administrator = json.loads(before)["administrator"]
    assert signs_in(database, administrator["login"], administrator["password"])
    assert loaded > 0

    assert main(["sample-data"]) == 0
    assert (file.read_text(), calls()) == (before, loaded)


@pytest.mark.parametrize("command", ["migrate", "serve"])
def test_a_server_that_will_not_have_us_is_not_waited_for(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], database_url: URL, command: str
) -> None:
    use(monkeypatch, database_url.set(database="no_such_database"))
    assert main([command]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("billing_service: the database refuses us: ")
    assert 'database "no_such_database" does not exist' in line


@pytest.mark.parametrize("command", [["sample-data"], ["create-administrator", "bob", "--draw-password"]])
@pytest.mark.parametrize("embedded", [True, False])
def test_a_database_that_is_not_running_is_told_in_one_sentence(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    command: list[str],
    embedded: bool,
) -> None:
    place = f"{tmp_path / 'postgres' / 'socket'}"
    if not embedded:
        place = f"127.0.0.1:{free_port()}"
        monkeypatch.setenv("TOLLBELL_DATABASE_URL", f"postgresql://tollbell:secret-word@{place}/tollbell")
    assert main(command) == 1
    assert capsys.readouterr() == (
        "",
        f"billing_service: the database at {place} does not answer; start `make run` first\n",
    )
    assert not (tmp_path / "sample-credentials.json").exists()


@pytest.mark.parametrize("swallows", [True, False])
def test_it_is_said_soon_what_is_waited_for_and_never_the_password(
    billing_programs: BillingPrograms, swallows: bool
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as mute:
        port = int(mute.getsockname()[1]) if swallows else free_port()
        url = f"postgresql://tollbell:secret-word@127.0.0.1:{port}/tollbell"
        for command in ("serve", "migrate"):
            started = time.monotonic()
            billing_programs.start(command, TOLLBELL_DATABASE_URL=url)
            eventually(
                lambda command=command: "waiting_for_database" in billing_programs.said(command),
                f"{command} says that it waits",
            )
            assert time.monotonic() - started >= 2
            assert f"127.0.0.1:{port}" in billing_programs.said(command)
            assert "secret-word" not in billing_programs.said(command)
