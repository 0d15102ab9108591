"""Who is logged in: signed cookies, ten idle minutes, logout that holds.

The cookie carries the session and the time of its last activity, signed, so a restart of the console logs
nobody out. What happened since (activity in another tab, a logout) is kept in memory and wins over it.
"""

import hashlib
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from itsdangerous import BadData, URLSafeSerializer


class SessionOver(StrEnum):
    """Why somebody has to log in again."""

    IDLE = "idle"
    ENDED = "ended"


@dataclass(frozen=True, slots=True)
class Session:
    """One administrator's log-in on one browser."""

    id: str
    login: str
    name: str
    role: str
    started_at: datetime
    csrf_token: str = field(repr=False)


class SessionKeeper:
    """Begins, recognises and ends sessions. Times come from the injected clock (aware, UTC)."""

    def __init__(
        self, *, secret: str, clock: Callable[[], datetime], idle_limit: timedelta, lifetime: timedelta
    ) -> None:
        self._clock = clock
        self._idle_limit = idle_limit
        self._lifetime = lifetime
        self._serializer = URLSafeSerializer(
            secret,
            salt="tollbell-session",
            signer_kwargs={"digest_method": hashlib.sha256, "key_derivation": "hmac"},
        )
        self._active_at: dict[str, datetime] = {}
        self._ended_at: dict[str, datetime] = {}
        # Browsers share cookies between ports: two consoles on one host must not log each other out.
        self.cookie_name = (
            "tollbell_session_" + hashlib.sha256(b"cookie name" + secret.encode()).hexdigest()[:8]
        )

    def begin(self, *, login: str, name: str, role: str) -> Session:
        now = self._clock()
        self._forget_old(now)
        session = Session(
            id=secrets.token_urlsafe(18),
            login=login,
            name=name,
            role=role,
            started_at=now,
            csrf_token=secrets.token_urlsafe(24),
        )
        self._active_at[session.id] = now
        return session

    def cookie_value(self, session: Session) -> str:
        """The signed cookie, with the session's last activity in it."""
        return self._serializer.dumps(
            {
                "id": session.id,
                "login": session.login,
                "name": session.name,
                "role": session.role,
                "csrf": session.csrf_token,
                "started": session.started_at.timestamp(),
                "active": self._active_at.get(session.id, session.started_at).timestamp(),
            }
        )

    def find(self, cookie: str | None) -> Session | None:
        """The session of a cookie; None when it is forged, ended, idle for too long or too old."""
        session = self._read(cookie)
        return session if session and self.remaining(session) > timedelta(0) else None

    def why_over(self, cookie: str | None) -> SessionOver | None:
        """What ended the session of a cookie that `find` no longer knows; None if it never was ours."""
        session = self._read(cookie)
        if session is None:
            return None
        idle = session.id not in self._ended_at and self._idle_since(session) >= self._idle_limit
        return SessionOver.IDLE if idle else SessionOver.ENDED

    def remaining(self, session: Session) -> timedelta:
        """How long the session lasts if nothing more happens; zero or less when it is over."""
        if session.id in self._ended_at:
            return timedelta(0)
        left = self._lifetime - (self._clock() - session.started_at)
        return min(left, self._idle_limit - self._idle_since(session))

    def touch(self, session: Session) -> None:
        """The administrator did something. A session that has ended stays ended."""
        if session.id not in self._ended_at:
            self._active_at[session.id] = self._clock()

    def end(self, session: Session) -> None:
        """Log out, in every tab and for every copy of the cookie."""
        self._ended_at[session.id] = self._clock()

    def _idle_since(self, session: Session) -> timedelta:
        return self._clock() - self._active_at.get(session.id, session.started_at)

    def _read(self, cookie: str | None) -> Session | None:
        """The session that a cookie with our signature tells of, over or not."""
        if not cookie:
            return None
        try:
            data = self._serializer.loads(cookie)
            session = Session(
                id=data["id"],
                login=data["login"],
                name=data["name"],
                role=data["role"],
                started_at=datetime.fromtimestamp(data["started"], UTC),
                csrf_token=data["csrf"],
            )
            active_at = datetime.fromtimestamp(data["active"], UTC)
        except (BadData, KeyError, TypeError, ValueError):
            return None
        self._active_at[session.id] = max(active_at, self._active_at.get(session.id, active_at))
        return session

    def _forget_old(self, now: datetime) -> None:
        # Older cookies than that are refused by their own stamp, so nothing needs to be remembered of them.
        for table in (self._active_at, self._ended_at):
            for session_id in [key for key, at in table.items() if now - at > self._idle_limit]:
                del table[session_id]
