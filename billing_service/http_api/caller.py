"""Who sent a request, and what he may do."""

from dataclasses import dataclass

from aiohttp import web

from billing_service.domain.permissions import Scope
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


CALLER = web.RequestKey("caller", Caller)


def caller(request: web.Request) -> Caller:
    """Return who sent the request, which the authentication has noted."""
    return request[CALLER]
