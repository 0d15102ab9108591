"""The service token: made once, private, the same for whoever asks."""

import stat
import threading
from pathlib import Path

import pytest

from billing_service.errors import UnableToStart
from billing_service.service_token import read_or_make_token


def test_it_is_made_at_first_and_read_after(tmp_path: Path) -> None:
    file = tmp_path / "var" / "service-token"
    token = read_or_make_token(file)
    assert len(token) >= 40
    assert read_or_make_token(file) == token
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert [path.name for path in file.parent.iterdir()] == ["service-token"]


def test_programs_that_start_at_once_get_the_same(tmp_path: Path) -> None:
    file = tmp_path / "service-token"
    begin = threading.Barrier(8)
    tokens: list[str] = []

    def start() -> None:
        begin.wait()
        tokens.append(read_or_make_token(file))

    threads = [threading.Thread(target=start) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert len(tokens) == 8
    assert len(set(tokens)) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["service-token"]


def test_an_empty_file_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "service-token"
    file.touch()
    with pytest.raises(UnableToStart, match="is empty"):
        read_or_make_token(file)


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "var").write_text("a file where a directory should be")
    with pytest.raises(UnableToStart, match="service-token"):
        read_or_make_token(tmp_path / "var" / "service-token")
