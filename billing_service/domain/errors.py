"""What the domain refuses, in words for the person who must put it right."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


class DomainError(Exception):
    """Anything that the billing domain refuses."""


@dataclass(frozen=True, slots=True)
class FieldProblem:
    """One wrong field: its path from the outermost value (`base_price.windows[1].to`) and what is wrong.

    In a file, `line` is the line on which it is; the first is 1.
    """

    field: str
    message: str
    line: int | None = None

    def under(self, parent: str) -> FieldProblem:
        """The same problem as seen from `parent`."""
        joint = "" if not self.field or self.field.startswith("[") else "."
        return FieldProblem(f"{parent}{joint}{self.field}", self.message, self.line)


class InvalidFields(DomainError, ValueError):
    """A value whose fields don't make sense; names every wrong one."""

    def __init__(self, problems: Iterable[FieldProblem]) -> None:
        self.problems = tuple(problems)
        super().__init__("; ".join(f"{p.field}: {p.message}" for p in self.problems))

    @classmethod
    def one(cls, field: str, message: str) -> InvalidFields:
        return cls((FieldProblem(field, message),))
