"""The core in machine code: the very same sources, compiled by mypyc (`make compiled`), where there is one.

When messages come in company (transport/rounds.py), most of a call's cost is the interpreter at work on the
core; compiled, a call takes a fifth less. Nothing else depends on it: without it, or with one of other
sources, the exchange runs the sources themselves.
"""

import hashlib
import sys
import sysconfig
from pathlib import Path

import sip_proxy

SOURCES = Path(__file__).parents[1]
"""The package `sip_proxy`."""

DIRECTORY = Path(__file__).parents[2] / "build" / "compiled"
"""Where `make compiled` puts what it makes: `sip_proxy/` with the modules, and what they share."""

STAMP = "sources"
"""The file in it that says which sources it was made of."""


# An enum with a constructor is beyond mypyc. Packages themselves hold no code.
_INTERPRETED = {"flow.py", "__init__.py"}


def sources(package: Path = SOURCES) -> list[Path]:
    """Return the modules of the core: where a call spends its time."""
    return sorted((package / "core").rglob("*.py"))


def is_compiled(module: Path) -> bool:
    """Return whether a module of the core can be compiled."""
    return module.name not in _INTERPRETED


def digest_of_sources(package: Path = SOURCES) -> str:
    """Return what a compiled core must have been made of and for to be used by this interpreter.

    For: what Python's own import asks of a module of machine code. `sys.version` would also tell one build of
    Python from another of the same version, as the container image has for compiling and for running.
    """
    digest = hashlib.sha256(str(sysconfig.get_config_var("SOABI")).encode())
    for path in sources(package):
        digest.update(str(path.relative_to(package)).encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()


def is_of_these_sources(directory: Path = DIRECTORY) -> bool:
    """Return whether there is a compiled core, made of these sources for this interpreter."""
    try:
        return (directory / STAMP).read_text() == digest_of_sources()
    except OSError:
        return False  # none that we may read


def use_compiled_core(directory: Path = DIRECTORY) -> bool:
    """Have the core imported in its compiled form if there is one of these sources; say whether.

    Call it before anything of the core is imported.
    """
    if not is_of_these_sources(directory):
        return False
    sip_proxy.__path__.insert(0, str(directory / "sip_proxy"))
    sys.path.append(str(directory))
    return True


def is_in_use() -> bool:
    """Return whether the core is imported in its compiled form."""
    return len(sip_proxy.__path__) > 1
