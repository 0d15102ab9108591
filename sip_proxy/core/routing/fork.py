"""Sending the copies of a request to its targets (RFC 3261 §16.6 steps 1 to 10)."""

from functools import partial
from typing import Final

from sip_proxy.core.flow import Destination, Flow
from sip_proxy.core.hops import Hops
from sip_proxy.core.identifiers import Identifiers
from sip_proxy.core.routing.forwarding import Copy
from sip_proxy.core.routing.response_context import Branch, ResponseContext
from sip_proxy.core.routing.target_set import Target, without_headers
from sip_proxy.core.routing.validation import loop_mark

# Only requests that make a dialog are kept on our path (§16.6 step 4).
_DIALOG_METHODS: Final = frozenset({"INVITE", "SUBSCRIBE", "REFER"})


class Fork:
    """A request on its way to all its targets at once.

    A phone with several flows is one target: the next flow is tried when one has failed (RFC 5626 §6).
    """

    __slots__ = ("_context", "_copy", "_hops", "_identifiers", "_incoming", "_is_kept", "_is_secure", "_mark")

    def __init__(
        self, copy: Copy, context: ResponseContext, hops: Hops, identifiers: Identifiers, incoming: Flow
    ) -> None:
        self._copy = copy
        self._context = context
        self._hops = hops
        self._identifiers = identifiers
        self._incoming = incoming
        self._is_kept = copy.request.method in _DIALOG_METHODS
        self._is_secure = copy.request.uri[:5].lower() == "sips:"
        self._mark = loop_mark(copy.request, identifiers)

    def send(self, targets: list[Target], now: float) -> None:
        """Send a copy to every target."""
        for branch, target in [(self._add(target), target) for target in targets]:
            self._start(branch, target, now)

    def _add(self, target: Target) -> Branch:
        binding = target.binding
        return self._context.add_branch(binding.contact, is_direct=binding.is_direct)

    def _start(self, branch: Branch, target: Target, now: float) -> None:
        binding, to = target.binding, target.to
        if target.spares:
            branch.retry = partial(self._try_spare, target.spares)
        branch_id = self._identifiers.branch(self._mark)
        request = self._copy.request
        record_routes = self._record_routes(to)
        data = self._copy.to(
            without_headers(binding.contact),
            via=self._hops.via(to, branch_id),
            record_routes=record_routes,
            path=binding.path,
        )
        recorded_routes = len(record_routes) + len(request.values("record-route"))
        branch.start(request.method, data, branch=branch_id, to=to, recorded_routes=recorded_routes, now=now)

    def _record_routes(self, to: Flow | Destination) -> list[str]:
        return self._hops.record_routes(self._incoming, to, secure=self._is_secure) if self._is_kept else []

    def _try_spare(self, spares: tuple[Target, ...], now: float) -> None:
        target = Target(spares[0].binding, spares[0].to, spares[1:])
        self._start(self._add(target), target, now)
