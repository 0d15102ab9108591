"""Names of the modules that are compiled never change, and say so: compiled, such a name is found at once.

What is not `Final` it looks up in the dictionary of the module every time (docs/benchmarks.md, "Where the
time goes").
"""

import ast
import re

from sip_proxy.compiled import SOURCES, modules_to_compile

TYPE_ALIAS = re.compile(r"_?[A-Z][A-Za-z]*[a-z][A-Za-z]*")


def assigned_names(module: str) -> dict[str, bool]:
    """Return the names that a module assigns at its top, and whether each is `Final`."""
    found = {}
    for statement in ast.parse(module).body:
        if isinstance(statement, ast.Assign):
            for name in statement.targets:
                found.update({part.id: False for part in ast.walk(name) if isinstance(part, ast.Name)})
        elif isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
            found[statement.target.id] = ast.unparse(statement.annotation).startswith("Final")
    return {
        name: final for name, final in found.items() if name != "__all__" and not TYPE_ALIAS.fullmatch(name)
    }


def test_what_counts_as_final() -> None:
    module = "A, _B = 1, 2\nC: int = 3\nD: Final = 4\n_e: Final[int] = 5\n_f = 6\n_Look = int\n__all__ = []\n"

    assert assigned_names(module) == {"A": False, "_B": False, "C": False, "D": True, "_e": True, "_f": False}


def test_every_name_of_a_module_is_final() -> None:
    modules = {*modules_to_compile(), *(SOURCES / "core").rglob("*.py")}
    not_final = [
        f"{path.relative_to(SOURCES)}: {name}"
        for path in modules
        for name, is_final in assigned_names(path.read_text()).items()
        if not is_final
    ]

    assert sorted(not_final) == []
