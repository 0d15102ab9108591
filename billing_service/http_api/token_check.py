"""Checks the tokens of programs against the database, and while that is away against what it said of late."""

import hashlib
from collections import OrderedDict
from dataclasses import dataclass
from datetime import datetime, timedelta

from aiohttp import web

from billing_service.http_api.caller import Caller
from billing_service.http_api.services import Services
from billing_service.storage.unit_of_work import DatabaseUnavailable
from billing_service.use_cases.api_tokens import use_token

# Call events are taken while the database is away, if there is a broker; so must be who sends them.
REMEMBERED_FOR = timedelta(minutes=15)
MOST_REMEMBERED = 1000
DATABASE_TIMEOUT_S = 3.0


@dataclass(frozen=True, slots=True)
class _Checked:
    caller: Caller
    until: datetime


class TokenCheck:
    """Asks the database about every token, so that one that is withdrawn is refused from then on."""

    def __init__(self) -> None:
        self._good: OrderedDict[bytes, _Checked] = OrderedDict()

    async def check(self, parts: Services, token: bytes) -> Caller | None:
        """Return whose token it is, or None. Raises DatabaseUnavailable when nobody can tell."""
        digest = hashlib.sha256(token).digest()
        now = parts.now()
        try:
            found = await parts.database.run(
                lambda session: use_token(session, digest, at=now), within_s=DATABASE_TIMEOUT_S
            )
        except DatabaseUnavailable:
            remembered = self._good.get(digest)
            if remembered is None or remembered.until <= now:
                raise
            return remembered.caller
        if found is None:
            self._good.pop(digest, None)
            return None
        known = Caller(f"token {found.name}", found.scopes)
        until = now + REMEMBERED_FOR
        self._good[digest] = _Checked(known, min(until, found.expires_at or until))
        self._good.move_to_end(digest)
        if len(self._good) > MOST_REMEMBERED:
            self._good.popitem(last=False)
        return known


TOKENS = web.AppKey("tokens", TokenCheck)
