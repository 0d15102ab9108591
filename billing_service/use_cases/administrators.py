"""Administrators: who they are and whether a password is theirs."""

import re
import secrets
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerifyMismatchError
from sqlalchemy import select
from sqlalchemy.orm import Session

from billing_service.domain.errors import InvalidFields
from billing_service.domain.permissions import Role
from billing_service.errors import Conflict, NotFound
from billing_service.storage.audit import record_change
from billing_service.storage.row_versions import require_unchanged
from billing_service.storage.tables import Administrator

SHORTEST_PASSWORD = 10
LONGEST_PASSWORD = 1024
EDITABLE = frozenset({"name", "role", "active"})
SERVICE_NAME = "service"
_LOGIN = re.compile(r"[a-z0-9][a-z0-9._@-]{0,63}", re.ASCII)

_hasher = PasswordHasher()

Permits = Callable[[Role], None]
"""Raises Forbidden for a role that who asks may not give, nor touch in one who has it."""


def _permit_any(role: Role) -> None:
    """Let the system's own programs do what they are for."""


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
    session: Session,
    *,
    login: str,
    name: str,
    password: str,
    role: Role = Role.ADMINISTRATOR,
    actor: str,
    at: datetime,
) -> Administrator:
    """Add an administrator; slow on purpose, as the password is hashed with Argon2.

    Raises InvalidFields for a login or password that won't do, and Conflict when the login is taken.
    """
    login = login.lower()
    if not _LOGIN.fullmatch(login):
        raise InvalidFields.one("login", "a login is up to 64 letters, digits, and . _ @ -")
    if login == SERVICE_NAME:
        raise InvalidFields.one("login", "this is what the audit log calls the service itself")
    _check_password(password)
    if session.scalar(select(Administrator.id).where(Administrator.login == login)) is not None:
        raise Conflict(f"There is already an administrator {login}.")
    administrator = Administrator(
        login=login,
        name=name or login,
        role=role.value,
        password_hash=_hasher.hash(password),
        created_at=at,
    )
    session.add(administrator)
    session.flush()
    record_change(
        session,
        actor=actor,
        action="create",
        subject_kind="administrator",
        subject=login,
        after={"name": administrator.name, "role": administrator.role},
    )
    return administrator


def edit_administrator(
    session: Session,
    login: str,
    changes: Mapping[str, Any],
    *,
    actor: str,
    expected: Collection[str] | None = None,
    permits: Permits = _permit_any,
) -> Administrator:
    """Change an administrator's name, role, or whether he may sign in (see EDITABLE).

    Raises what `permits` does for the role that he has or gets, NotFound, Stale when the row's version is
    none of those expected, and Conflict when nobody would be left who may do everything.
    """
    assert changes.keys() <= EDITABLE
    # In one order, so that two who remove each other wait for each other, and one of them is refused.
    in_charge = session.scalars(
        select(Administrator.login)
        .where(Administrator.active, Administrator.role == Role.ADMINISTRATOR.value)
        .order_by(Administrator.id)
        .with_for_update()
    ).all()
    administrator = _locked(session, login)
    permits(Role(administrator.role))
    permits(Role(changes.get("role", administrator.role)))
    require_unchanged(administrator.row_version, expected)
    before = {field: getattr(administrator, field) for field in changes}
    for field, value in changes.items():
        setattr(administrator, field, value)
    may_all = administrator.active and administrator.role == Role.ADMINISTRATOR.value
    if not may_all and set(in_charge) == {administrator.login}:
        raise Conflict(f"{administrator.login} is the last administrator; make another one first.")
    session.flush()
    session.refresh(administrator)
    record_change(
        session,
        actor=actor,
        action="edit",
        subject_kind="administrator",
        subject=administrator.login,
        before=before,
        after=changes,
    )
    return administrator


def set_password(
    session: Session, login: str, password: str, *, actor: str, permits: Permits = _permit_any
) -> None:
    """Give an administrator a password; slow on purpose.

    Raises what `permits` does for his role, as a password gives what the role allows; NotFound, and
    InvalidFields for a password that won't do.
    """
    _check_password(password)
    administrator = _locked(session, login)
    permits(Role(administrator.role))
    administrator.password_hash = _hasher.hash(password)
    record_change(
        session, actor=actor, action="set_password", subject_kind="administrator", subject=administrator.login
    )


def find_administrator(session: Session, login: str) -> Administrator:
    """Return an administrator, who need not be active; raise NotFound."""
    found = session.scalar(select(Administrator).where(Administrator.login == login.lower()))
    if found is None:
        raise NotFound(f"There is no administrator {login}.")
    return found


def list_administrators(session: Session, *, after: str | None, limit: int) -> Sequence[Administrator]:
    """Return administrators by login, those who may not sign in any more too."""
    query = select(Administrator).order_by(Administrator.login).limit(limit)
    if after is not None:
        query = query.where(Administrator.login > after)
    return session.scalars(query).all()


def _locked(session: Session, login: str) -> Administrator:
    found = session.scalar(
        select(Administrator)
        .where(Administrator.login == login.lower())
        .with_for_update()
        .execution_options(populate_existing=True)
    )
    if found is None:
        raise NotFound(f"There is no administrator {login}.")
    return found


def _check_password(password: str) -> None:
    if not SHORTEST_PASSWORD <= len(password) <= LONGEST_PASSWORD:
        raise InvalidFields.one("password", f"a password has at least {SHORTEST_PASSWORD} characters")


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
