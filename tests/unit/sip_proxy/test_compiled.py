"""Compiled modules are used where they are made of the very sources beside them, and nowhere else."""

import sys
import sysconfig
from pathlib import Path

import pytest

import sip_proxy
import sip_proxy.core.dialog
import sip_proxy.transport
from sip_proxy.compiled import (
    AROUND_THE_CORE,
    STAMP,
    digest_of_sources,
    is_of_these_sources,
    modules_to_compile,
    sources,
    use_compiled,
)


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A package like ours: two modules of the core, those around it, what one imports, and another."""
    core = tmp_path / "sip_proxy" / "core" / "dialog"
    core.mkdir(parents=True)
    (core / "call.py").write_text("A = 1\n")
    (core / "party.py").write_text("B = 1\n")
    for name in AROUND_THE_CORE:
        (tmp_path / "sip_proxy" / name).parent.mkdir(exist_ok=True)
        (tmp_path / "sip_proxy" / name).write_text("")
    (tmp_path / "sip_proxy" / "driver.py").write_text("from sip_proxy.adapters.journal import C\n")
    (tmp_path / "sip_proxy" / "adapters" / "journal.py").write_text("C = 1\n")
    (tmp_path / "sip_proxy" / "server.py").write_text("D = 1\n")
    return tmp_path / "sip_proxy"


@pytest.fixture(autouse=True)
def paths_put_back(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, module in list(sys.modules.items()):
        if name.partition(".")[0] == "sip_proxy" and hasattr(module, "__path__"):
            monkeypatch.setattr(module, "__path__", list(module.__path__))
    monkeypatch.setattr(sys, "path", list(sys.path))


def test_the_digest_tells_changed_new_renamed_and_lost_modules(package: Path) -> None:
    call, party = package / "core/dialog/call.py", package / "core/dialog/party.py"
    digests = [digest_of_sources(package)]
    call.write_text("A = 2\n")
    digests.append(digest_of_sources(package))
    (package / "core" / "new.py").write_text("")
    digests.append(digest_of_sources(package))
    party.rename(party.with_name("side.py"))
    digests.append(digest_of_sources(package))
    call.unlink()
    digests.append(digest_of_sources(package))
    assert len(set(digests)) == len(digests)


def test_the_digest_is_of_what_is_compiled_and_what_that_relies_on(package: Path) -> None:
    before = digest_of_sources(package)
    (package / "server.py").write_text("D = 2\n")
    assert digest_of_sources(package) == before
    (package / "adapters" / "journal.py").write_text("C = '2'\n")
    imported = digest_of_sources(package)
    (package / "driver.py").write_text("D = 1\n")
    assert len({before, imported, digest_of_sources(package)}) == 3


def test_another_build_of_the_same_python_is_as_good(package: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = digest_of_sources(package)
    monkeypatch.setattr(sys, "version", "3.11.99 (main, Jan  1 2031, 00:00:00) [GCC 12.2.0]")
    assert digest_of_sources(package) == before
    monkeypatch.setattr(sysconfig, "get_config_var", lambda name: "cpython-312-x86_64-linux-gnu")
    assert digest_of_sources(package) != before


def test_every_module_of_the_core_counts_and_those_around_it() -> None:
    package = Path(sip_proxy.__file__).parent
    core = package / "core"
    assert {core / "engine.py", core / "flow.py", core / "message" / "parser.py"} < set(sources())
    assert {package / name for name in AROUND_THE_CORE} <= set(modules_to_compile()) < set(sources())


def test_without_a_compiled_core_the_sources_are_imported(tmp_path: Path) -> None:
    path = list(sip_proxy.__path__)
    assert not use_compiled(tmp_path / "none")
    assert sip_proxy.__path__ == path


def test_a_compiled_core_that_cannot_be_read_is_not_imported(tmp_path: Path) -> None:
    (tmp_path / STAMP).mkdir()  # whoever runs the tests may read any file
    assert not use_compiled(tmp_path)


def test_a_compiled_core_of_other_sources_is_not_imported(tmp_path: Path) -> None:
    path = list(sip_proxy.__path__)
    (tmp_path / STAMP).write_text(digest_of_sources() + "0")
    assert not is_of_these_sources(tmp_path)
    assert not use_compiled(tmp_path)
    assert sip_proxy.__path__ == path


def test_a_compiled_core_of_these_sources_comes_first(tmp_path: Path) -> None:
    (tmp_path / STAMP).write_text(digest_of_sources())
    assert use_compiled(tmp_path)
    assert sip_proxy.__path__[0] == str(tmp_path / "sip_proxy")
    assert sip_proxy.transport.__path__[0] == str(tmp_path / "sip_proxy" / "transport")
    assert sip_proxy.core.dialog.__path__[0] == str(tmp_path / "sip_proxy" / "core" / "dialog")
    assert sys.path[-1] == str(tmp_path)
