"""Requests that the exchange sends to a phone on its own account, outside of any call."""

from typing import Final

from sip_proxy.core.dialog.party import Party, build_dialog_request
from sip_proxy.core.exchange import Exchange
from sip_proxy.core.hops import Hops
from sip_proxy.core.registrar.binding import Binding
from sip_proxy.core.transaction.client import ResponseTaker

# Phones take this for the wish to fetch their settings anew, and with the parameter for one to start anew.
CHECK_SYNC: Final = ("Event: check-sync;reboot=true", "Subscription-State: terminated")


class PhoneRequests:
    """Sends requests to bindings."""

    __slots__ = ("_exchange", "_hops")

    def __init__(self, exchange: Exchange, hops: Hops) -> None:
        self._exchange = exchange
        self._hops = hops

    def send(
        self,
        method: str,
        number: str,
        binding: Binding,
        owner: ResponseTaker,
        now: float,
        *,
        headers: tuple[str, ...] = (),
    ) -> bool:
        """Send a request to a phone (RFC 3261 §8.1.1); False when there is no way to it."""
        to = self._hops.reach_phone(number, binding, now)
        if to is None:
            return False
        exchange = self._exchange
        domain = exchange.config.domain
        tag = exchange.identifiers.tag()
        branch = exchange.identifiers.branch("")
        host, port = self._hops.local_address(to)
        contact = f"Contact: <sip:{f'[{host}]' if ':' in host else host}:{port}>"
        request = build_dialog_request(
            method,
            call_id=f"{tag}@{domain}",
            sender=_party(f"<sip:{domain}>;tag={tag}", binding, contact=""),
            receiver=_party(f"<sip:{number}@{domain}>", binding, contact=binding.contact.partition("?")[0]),
            cseq=1,
            via=self._hops.via(to, branch),
            headers=[contact, *headers],
        )
        exchange.layer.start_client(method, request, branch=branch, to=to, owner=owner, now=now)
        return True


def _party(address: str, binding: Binding, *, contact: str) -> Party:
    return Party(
        number="",
        address=address,
        tag="",
        contact=contact,
        route_set=binding.path,
        cseq=0,
        flow=binding.flow,
        is_direct=binding.is_direct,
    )
