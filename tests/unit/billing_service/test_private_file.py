"""Private files: whole or not at all."""

import stat
from pathlib import Path

import pytest

from billing_service.errors import UnableToStart
from billing_service.private_file import private_file


def test_it_takes_its_place_when_it_is_whole(tmp_path: Path) -> None:
    place = tmp_path / "var" / "secret.json"
    with private_file(place) as file:
        file.write("all of it")
        assert not place.exists()
    assert place.read_text() == "all of it"
    assert stat.S_IMODE(place.stat().st_mode) == 0o600
    assert list(place.parent.iterdir()) == [place]


@pytest.mark.parametrize("text", ["", "half of it"])
def test_the_old_one_stays_when_nothing_is_written_or_the_work_fails(tmp_path: Path, text: str) -> None:
    place = tmp_path / "secret.json"
    place.write_text("the old one")

    def write() -> None:
        with private_file(place) as file:
            file.write(text)
            if text:
                raise ZeroDivisionError

    if text:
        with pytest.raises(ZeroDivisionError):
            write()
    else:
        write()
    assert place.read_text() == "the old one"
    assert list(tmp_path.iterdir()) == [place]


def test_a_place_that_cannot_be_written_is_named_before_any_work(tmp_path: Path) -> None:
    (tmp_path / "var").write_text("a file where a directory should be")
    with (
        pytest.raises(UnableToStart, match=r"secret\.json cannot be written"),
        private_file(tmp_path / "var" / "secret.json"),
    ):
        pytest.fail("the work must not begin")
