"""`python -m sip_proxy.compiled` (`make compiled`): compile where a call spends its time, with mypyc.

It needs a C compiler, Python's headers and the packages of requirements-compile.txt, and takes some minutes.
"""

import contextlib
import io
import os
import shutil
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from mypyc.build import mypycify
from setuptools import setup

from sip_proxy.compiled import DIRECTORY, SOURCES, STAMP, digest_of_sources, modules_to_compile
from sip_proxy.compiled.placing import put_in_place


def main() -> None:
    """Compile in a folder of its own; put the result in place when it is whole."""
    with TemporaryDirectory() as folder:
        copy = Path(folder) / "copy"
        shutil.copytree(SOURCES, copy / SOURCES.name, ignore=shutil.ignore_patterns("__pycache__"))
        result = _compile(copy)
        (result / STAMP).write_text(digest_of_sources(copy / SOURCES.name))
        put_in_place(result, DIRECTORY)
    print(f"The exchange will use {DIRECTORY} from its next start on, until its sources change.")


def _compile(copy: Path) -> Path:
    """Compile in a copy of the sources; return the folder with what is imported in place of the modules."""
    os.chdir(copy)
    modules = [str(path.relative_to(copy)) for path in modules_to_compile(copy / SOURCES.name)]
    said = io.StringIO()  # of interest only when it fails
    try:
        with contextlib.redirect_stdout(said):
            extensions = mypycify(
                modules,
                group_name="tollbell_core",
                opt_level="2",
                debug_level="0",
            )
    except SystemExit:
        sys.stderr.write(said.getvalue())
        raise
    setup(
        name=SOURCES.name,
        packages=[],
        py_modules=[],
        ext_modules=extensions,
        script_args=["--quiet", "build_ext", "--build-lib", "compiled"],
    )
    return copy / "compiled"


if __name__ == "__main__":
    main()
