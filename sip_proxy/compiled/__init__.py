"""Where a call spends its time, in machine code: the very same sources, compiled by mypyc (`make compiled`).

When messages come in company (transport/rounds.py), most of a call's cost is the interpreter at work on the
core; compiled, a call takes a fifth to a quarter less. Nothing else depends on it: without it, or with one of
other sources, the exchange runs the sources themselves.
"""

import hashlib
import re
import sys
import sysconfig
from importlib import import_module
from pathlib import Path

import sip_proxy

SOURCES = Path(__file__).parents[1]
"""The package `sip_proxy`."""

DIRECTORY = Path(__file__).parents[2] / "build" / "compiled"
"""Where `make compiled` puts what it makes: `sip_proxy/` with the modules, and what they share."""

STAMP = "sources"
"""The file in it that says which sources it was made of."""

AROUND_THE_CORE = (
    "announcements.py",
    "driven_engine.py",
    "counts.py",
    "driver.py",
    "held_sends.py",
    "outbox.py",
    "adapters/histogram.py",
    "adapters/instants.py",
    "adapters/record_json.py",
    "adapters/trace.py",
    "transport/rounds.py",
    "transport/source_limit.py",
    "transport/udp.py",
)
"""What every message passes on its way to the core and from it, to be compiled with it."""

# An enum with a constructor is beyond mypyc. Packages themselves hold no code.
_INTERPRETED = {"flow.py", "__init__.py"}
_IMPORTED = re.compile(rb"^from sip_proxy\.([\w.]+) import ", re.MULTILINE)


def modules_to_compile(package: Path = SOURCES) -> list[Path]:
    """Return the modules where a call spends its time: the core, and what is around it."""
    core = [path for path in (package / "core").rglob("*.py") if path.name not in _INTERPRETED]
    return sorted(core + [package / name for name in AROUND_THE_CORE])


def sources(package: Path = SOURCES) -> list[Path]:
    """Return all that machine code depends on: the modules to compile and those that they import.

    The types of these are taken for what they say: a function that returns something else, once a module is
    compiled, would be an error in every call.
    """
    found = set(modules_to_compile(package))
    for module in list(found):
        names = _IMPORTED.findall(module.read_bytes())
        found.update(package / (name.decode().replace(".", "/") + ".py") for name in names)
    return sorted(path for path in found if path.is_file())


def digest_of_sources(package: Path = SOURCES) -> str:
    """Return what compiled modules must have been made of and for to be used by this interpreter.

    For: what Python's own import asks of a module of machine code. `sys.version` would also tell one build of
    Python from another of the same version, as the container image has for compiling and for running.
    """
    digest = hashlib.sha256(str(sysconfig.get_config_var("SOABI")).encode())
    for path in sources(package):
        digest.update(str(path.relative_to(package)).encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()


def is_of_these_sources(directory: Path = DIRECTORY) -> bool:
    """Return whether there are compiled modules, made of these sources for this interpreter."""
    try:
        return (directory / STAMP).read_text() == digest_of_sources()
    except OSError:
        return False  # none that we may read


def use_compiled(directory: Path = DIRECTORY) -> bool:
    """Have modules imported in their compiled form if there is one of these sources; say whether.

    Call it before any of them is imported.
    """
    if not is_of_these_sources(directory):
        return False
    for folder in sorted({module.parent for module in modules_to_compile()}):
        package = folder.relative_to(SOURCES.parent)
        import_module(".".join(package.parts)).__path__.insert(0, str(directory / package))
    sys.path.append(str(directory))
    return True


def is_in_use() -> bool:
    """Return whether modules are imported in their compiled form."""
    return len(sip_proxy.__path__) > 1
