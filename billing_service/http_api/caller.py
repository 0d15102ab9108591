"""Who sent a request, and what he may do."""

from dataclasses import dataclass

from aiohttp import web

from billing_service.domain.permissions import Role, Scope, scopes_of
from billing_service.errors import Forbidden


@dataclass(frozen=True, slots=True)
class Caller:
    """Who sent a request; `name` goes into the audit log.

    `administrator` says that it is the login of a person.
    """

    name: str
    scopes: frozenset[Scope]
    administrator: bool = False

    def require(self, scope: Scope) -> None:
        """Raise Forbidden unless the caller has this scope."""
        if scope not in self.scopes:
            raise Forbidden(f"{self.name} may not do this; it takes the scope {scope.value}.")

    def require_role(self, role: Role) -> None:
        """Raise Forbidden when an administrator with this role may do more than the caller."""
        if not scopes_of(role) <= self.scopes:
            raise Forbidden(f"{self.name} may not do all that the role {role.value} allows.")


CALLER = web.RequestKey("caller", Caller)


def caller(request: web.Request) -> Caller:
    """Return who sent the request, which the authentication has noted."""
    return request[CALLER]
