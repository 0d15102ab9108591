"""A start of the exchange while another core is put in place finds the old one, the new one, or none."""

import errno
import os
from pathlib import Path

import pytest

from sip_proxy.compiled.placing import put_in_place

MODULES = ["core/engine.so", "driver.so", "sources"]


def make(folder: Path, content: str) -> Path:
    """A folder with a module in a package, and others."""
    for name in MODULES:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(content)
    return folder


def found_in(place: Path) -> list[str]:
    """What somebody finds there: the contents of all the modules."""
    return [file.read_text() for file in sorted(place.rglob("*")) if file.is_file()]


@pytest.fixture(params=["one file system", "two file systems"])
def seen(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """What was to be found in the place before and after each renaming."""
    rename, found = os.rename, []

    def watched_rename(source: str | Path, target: str | Path) -> None:
        found.append(found_in(tmp_path / "build/compiled"))
        if request.param == "two file systems" and "elsewhere" in str(source):
            raise OSError(errno.EXDEV, "Invalid cross-device link")
        rename(source, target)
        found.append(found_in(tmp_path / "build/compiled"))

    monkeypatch.setattr(os, "rename", watched_rename)
    return found


def test_a_folder_is_never_seen_by_half(tmp_path: Path, seen: list[list[str]]) -> None:
    place = make(tmp_path / "build/compiled", "old")
    put_in_place(make(tmp_path / "elsewhere", "new"), place)

    whole = [[content] * len(MODULES) for content in ("old", "new")]
    assert all(each in [*whole, []] for each in seen)
    assert (seen[0], seen[-1], found_in(place)) == (whole[0], whole[1], whole[1])


def test_nothing_is_left_beside_it(tmp_path: Path, seen: list[list[str]]) -> None:
    place = make(tmp_path / "build/compiled", "old")
    put_in_place(make(tmp_path / "elsewhere", "new"), place)

    assert list(place.parent.iterdir()) == [place]
    assert not (tmp_path / "elsewhere").exists()


def test_the_first_one_needs_no_other_to_be_there(tmp_path: Path) -> None:
    place = tmp_path / "build/compiled"
    put_in_place(make(tmp_path / "elsewhere", "new"), place)

    assert found_in(place) == ["new"] * len(MODULES)
