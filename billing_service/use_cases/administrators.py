"""Administrators: who they are and whether a password is theirs."""

import re
import secrets
from dataclasses import dataclass
from datetime import datetime
from functools import cache

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerifyMismatchError
from sqlalchemy import select
from sqlalchemy.orm import Session

from billing_service.domain.errors import InvalidFields
from billing_service.domain.permissions import Role
from billing_service.errors import Conflict
from billing_service.storage.audit import record_change
from billing_service.storage.tables import Administrator

SHORTEST_PASSWORD = 10
LONGEST_PASSWORD = 1024
_LOGIN = re.compile(r"[a-z0-9][a-z0-9._@-]{0,63}", re.ASCII)

_hasher = PasswordHasher()


@cache
def _hash_of_nobody() -> str:
    # Compared with when a login is unknown, so that the answer takes as long as for a wrong password.
    return _hasher.hash(secrets.token_urlsafe())


@dataclass(frozen=True, slots=True)
class Credentials:
    """An administrator as far as signing in needs. `exists` is false for an unknown login."""

    login: str
    name: str
    role: str
    password_hash: str
    exists: bool


def create_administrator(
    session: Session, *, login: str, name: str, password: str, actor: str, at: datetime
) -> Administrator:
    """Add an administrator; slow on purpose, as the password is hashed with Argon2.

    Raises InvalidFields for a login or password that won't do, and Conflict when the login is taken.
    """
    login = login.lower()
    if not _LOGIN.fullmatch(login):
        raise InvalidFields.one("login", "a login is up to 64 letters, digits, and . _ @ -")
    if not SHORTEST_PASSWORD <= len(password) <= LONGEST_PASSWORD:
        raise InvalidFields.one("password", f"a password has at least {SHORTEST_PASSWORD} characters")
    if session.scalar(select(Administrator.id).where(Administrator.login == login)) is not None:
        raise Conflict(f"There is already an administrator {login}.")
    administrator = Administrator(
        login=login, name=name or login, password_hash=_hasher.hash(password), created_at=at
    )
    session.add(administrator)
    session.flush()
    record_change(
        session,
        actor=actor,
        action="create",
        subject_kind="administrator",
        subject=login,
        changes={"name": name},
    )
    return administrator


def find_role(session: Session, login: str) -> Role | None:
    """Return the role of an administrator who may work, or None."""
    role = session.scalar(
        select(Administrator.role).where(Administrator.login == login.lower(), Administrator.active)
    )
    return None if role is None else Role(role)


def find_credentials(session: Session, login: str) -> Credentials:
    """Return what is needed to check a password, for an unknown login too."""
    found = session.scalar(
        select(Administrator).where(Administrator.login == login.lower(), Administrator.active)
    )
    if found is None:
        return Credentials(login, "", "", _hash_of_nobody(), exists=False)
    return Credentials(found.login, found.name, found.role, found.password_hash, exists=True)


def password_matches(credentials: Credentials, password: str) -> bool:
    """Whether the password is the administrator's; takes the same time when there is none."""
    try:
        _hasher.verify(credentials.password_hash, password[:LONGEST_PASSWORD])
    except (VerifyMismatchError, InvalidHashError):
        return False
    return credentials.exists
