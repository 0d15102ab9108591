"""The two calls that the exchange makes to billing (`docs/api/internal.md`)."""

import json
from collections.abc import Sequence
from typing import NamedTuple

import aiohttp

_TIMEOUT_S = 30.0
# Bad request, content too large, unprocessable content: about what was sent, not about when or by whom.
_UNREADABLE = frozenset({400, 413, 422})
_FINAL = frozenset({"stored", "duplicate", "rejected"})


class UnableToReachBilling(Exception):
    """Billing is away, in trouble of its own, or takes us for somebody else: try again later."""


class RefusedByBilling(Exception):
    """Billing has read the request and will not take it as it is."""


class UnexpectedAnswer(Exception):
    """Billing answered something that is not in the contract."""


class DeliveryResult(NamedTuple):
    """What became of one record. `rejection` is the reason when billing took it but can't charge it."""

    record_id: str
    rejection: str | None


class BillingClient:
    """Speaks to the billing service over HTTP."""

    def __init__(self, session: aiohttp.ClientSession, *, url: str, service_token: str) -> None:
        self._session = session
        self._url = url
        self._headers = {"Authorization": f"Bearer {service_token}"}

    async def fetch_directory(self, *, since: int, wait_s: int) -> object:
        """Return the directory's changes after a version, as JSON; waits for one up to `wait_s` seconds.

        Raises UnableToReachBilling, RefusedByBilling, UnexpectedAnswer.
        """
        url = f"{self._url}/internal/v1/directory?since={since}&wait={wait_s}"
        return await self._request("GET", url, timeout_s=wait_s + _TIMEOUT_S)

    async def deliver(self, records: Sequence[str]) -> list[DeliveryResult]:
        """Deliver call records (JSON texts); return those that are now billing's, in any order.

        Raises UnableToReachBilling, RefusedByBilling, UnexpectedAnswer.
        """
        # The records are JSON already: no need to take them apart only to write them again.
        body = f'{{"records":[{",".join(records)}]}}'.encode()
        answer = await self._request(
            "POST", f"{self._url}/internal/v1/call-records", body=body, timeout_s=_TIMEOUT_S
        )
        match answer:
            case {"results": [*results]}:
                return [done for done in map(_delivery_result, results) if done is not None]
        raise UnexpectedAnswer("call-records: no list of results")

    async def _request(self, method: str, url: str, *, timeout_s: float, body: bytes | None = None) -> object:
        headers = self._headers if body is None else {**self._headers, "Content-Type": "application/json"}
        try:
            async with self._session.request(
                method, url, data=body, headers=headers, timeout=aiohttp.ClientTimeout(total=timeout_s)
            ) as response:
                text = await response.read()
                if response.status in _UNREADABLE:
                    raise RefusedByBilling(f"HTTP {response.status}: {_detail(text)}")
                if response.status != 200:
                    raise UnableToReachBilling(f"HTTP {response.status}: {_detail(text)}")
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise UnableToReachBilling(str(error) or type(error).__name__) from error
        try:
            answer: object = json.loads(text)
        except ValueError as error:
            raise UnexpectedAnswer("the answer is not JSON") from error
        return answer


def _delivery_result(result: object) -> DeliveryResult | None:
    match result:
        case {"record_id": str(record_id), "status": str(status), **rest} if status in _FINAL:
            return DeliveryResult(record_id, str(rest.get("reason")) if status == "rejected" else None)
    return None


def _detail(text: bytes) -> str:
    """Return what a problem document (RFC 9457) says, or the start of whatever came."""
    try:
        match json.loads(text):
            case {"detail": str(detail)}:
                return detail[:200]
    except ValueError:
        pass  # not JSON: shown as it is
    return text[:200].decode("utf-8", "replace")
