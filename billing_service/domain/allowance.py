"""Minutes that a plan includes in its monthly fee, and the calls that may use them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from billing_service.domain.errors import FieldProblem, InvalidFields
from billing_service.domain.phone_number import check_prefix

MOST_INCLUDED_MINUTES: Final = 1_000_000
_SECONDS_A_MINUTE: Final = 60


@dataclass(frozen=True, slots=True)
class Allowance:
    """Included minutes a month, for calls to numbers with one of these prefixes (none: for every call)."""

    minutes: int = 0
    prefixes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        problems = []
        if not 0 <= self.minutes <= MOST_INCLUDED_MINUTES:
            problems.append(
                FieldProblem("included_minutes", f"included minutes are 0 to {MOST_INCLUDED_MINUTES}")
            )
        for index, prefix in enumerate(self.prefixes):
            field = f"included_prefixes[{index}]"
            try:
                check_prefix(prefix, field=field)
            except InvalidFields as error:
                problems += error.problems
            if not prefix:
                problems.append(FieldProblem(field, "a prefix has at least one digit; no prefix covers all"))
        if problems:
            raise InvalidFields(problems)

    @property
    def seconds(self) -> int:
        return self.minutes * _SECONDS_A_MINUTE

    def covers(self, destination: str) -> bool:
        """Whether a call to a number may use included minutes, if there are any."""
        return self.minutes > 0 and (not self.prefixes or destination.startswith(self.prefixes))


NO_ALLOWANCE: Final = Allowance()
