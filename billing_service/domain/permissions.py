"""Who may do what: scopes are what a program's token may be given, roles are what administrators have."""

from __future__ import annotations

from enum import StrEnum


class Scope(StrEnum):
    """One kind of thing that a caller may do. Customers include their phone accounts."""

    CUSTOMERS_READ = "customers:read"
    CUSTOMERS_WRITE = "customers:write"
    CALLS_READ = "calls:read"
    CALLS_WRITE = "calls:write"
    BILLS_READ = "bills:read"
    BILLS_WRITE = "bills:write"
    PAYMENTS_READ = "payments:read"
    PAYMENTS_WRITE = "payments:write"
    PLANS_READ = "plans:read"
    PLANS_WRITE = "plans:write"
    SETTINGS_READ = "settings:read"
    SETTINGS_WRITE = "settings:write"
    WEBHOOKS_READ = "webhooks:read"
    WEBHOOKS_WRITE = "webhooks:write"
    AUDIT_READ = "audit:read"
    ADMINISTRATORS_READ = "administrators:read"
    ADMINISTRATORS_WRITE = "administrators:write"
    EXCHANGE = "exchange"
    """What an exchange needs: the directory with its digest hashes, and the intake of call records."""
    OWN_PASSWORD = "own-password"
    """Change the own password, which every administrator may."""
    SIGN_IN = "sign-in"
    """Ask whether an administrator's password is right."""


class Role(StrEnum):
    """What an administrator may do. A viewer looks, an operator does the daily work, an administrator all."""

    VIEWER = "viewer"
    OPERATOR = "operator"
    ADMINISTRATOR = "administrator"


ALL_SCOPES = frozenset(Scope)

_VIEWER = frozenset(
    scope for scope in Scope if scope.endswith(":read") and scope is not Scope.ADMINISTRATORS_READ
) | {Scope.OWN_PASSWORD}
_OPERATOR = _VIEWER | {Scope.CUSTOMERS_WRITE, Scope.CALLS_WRITE, Scope.PAYMENTS_WRITE}
# Programs of the system do these, never a person.
_ADMINISTRATOR = ALL_SCOPES - {Scope.EXCHANGE, Scope.SIGN_IN}

_SCOPES_OF_ROLES = {
    Role.VIEWER: _VIEWER,
    Role.OPERATOR: _OPERATOR,
    Role.ADMINISTRATOR: _ADMINISTRATOR,
}


def scopes_of(role: Role) -> frozenset[Scope]:
    """Return what an administrator with this role may do."""
    return _SCOPES_OF_ROLES[role]
