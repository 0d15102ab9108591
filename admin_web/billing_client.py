"""The billing REST API as typed calls (`docs/api/billing.md`)."""

from collections.abc import Mapping
from typing import Final, TypeVar

from pydantic import TypeAdapter

from admin_web.billing_models import (
    Administrator,
    Bill,
    BillSummary,
    Call,
    Customer,
    Health,
    Info,
    Overview,
    Page,
    PhoneAccount,
    RejectedRecord,
)
from admin_web.service_http import ServiceHttp

Item = TypeVar("Item")

_HEALTH: Final = TypeAdapter(Health)
_INFO: Final = TypeAdapter(Info)
_ADMINISTRATOR: Final = TypeAdapter(Administrator)
_OVERVIEW: Final = TypeAdapter(Overview)
_CUSTOMER: Final = TypeAdapter(Customer)
_CUSTOMERS: Final = TypeAdapter(Page[Customer])
_ACCOUNT: Final = TypeAdapter(PhoneAccount)
_ACCOUNTS: Final = TypeAdapter(Page[PhoneAccount])
_CALL: Final = TypeAdapter(Call)
_CALLS: Final = TypeAdapter(Page[Call])
_BILL: Final = TypeAdapter(Bill)
_BILLS: Final = TypeAdapter(Page[BillSummary])
_REJECTED: Final = TypeAdapter(Page[RejectedRecord])


class BillingClient:
    """Every method raises ServiceError (`service_http`): away, at fault, refused, not found."""

    def __init__(self, http: ServiceHttp) -> None:
        self._http = http

    def acting_as(self, login: str) -> "BillingClient":
        """The same service on behalf of an administrator, whose name goes into its audit log."""
        return BillingClient(self._http.acting_as(login))

    @property
    def place(self) -> str:
        return self._http.base_url.authority

    async def health(self) -> Health:
        # 503 is an answer here: it says which part is away.
        return await self._http.call("GET", self._http.url("health"), _HEALTH, also_good=frozenset({503}))

    async def info(self) -> Info:
        return await self._get(_INFO, "info")

    async def overview(self) -> Overview:
        return await self._get(_OVERVIEW, "overview")

    async def log_in(self, login: str, password: str, *, address: str | None) -> Administrator:
        """Raises RequestRefused with status 401 (wrong) or 429 (too many failures).

        `address` is the browser's: billing limits failures per login and address.
        """
        body = {"login": login, "password": password}
        more_headers = {} if address is None else {"Tollbell-Client-Address": address}
        return await self._http.call(
            "POST", self._http.url("v1", "login"), _ADMINISTRATOR, body=body, more_headers=more_headers
        )

    async def customers(self, *, search: str = "", cursor: str = "", limit: int = 50) -> Page[Customer]:
        return await self._list(_CUSTOMERS, "customers", cursor=cursor, limit=limit, filters={"q": search})

    async def customer(self, customer_id: int) -> Customer:
        return await self._get(_CUSTOMER, "customers", str(customer_id))

    async def accounts(
        self,
        *,
        customer_id: int | None = None,
        state: str = "",
        search: str = "",
        cursor: str = "",
        limit: int = 50,
    ) -> Page[PhoneAccount]:
        filters = {
            "customer_id": "" if customer_id is None else str(customer_id),
            "state": state,
            "q": search,
        }
        return await self._list(_ACCOUNTS, "phone-accounts", cursor=cursor, limit=limit, filters=filters)

    async def account(self, number: str) -> PhoneAccount:
        return await self._get(_ACCOUNT, "phone-accounts", number)

    async def suspend(self, number: str) -> PhoneAccount:
        url = self._http.url("v1", "phone-accounts", number, "suspend")
        return await self._http.call("POST", url, _ACCOUNT)

    async def reactivate(self, number: str) -> PhoneAccount:
        url = self._http.url("v1", "phone-accounts", number, "reactivate")
        return await self._http.call("POST", url, _ACCOUNT)

    async def open_bill(self, number: str) -> Bill:
        return await self._get(_BILL, "phone-accounts", number, "open-bill")

    async def bills(
        self, *, account: str = "", state: str = "", unpaid: bool = False, cursor: str = "", limit: int = 50
    ) -> Page[BillSummary]:
        filters = {"account": account, "state": state, "unpaid": "true" if unpaid else ""}
        return await self._list(_BILLS, "bills", cursor=cursor, limit=limit, filters=filters)

    async def bill(self, number: str) -> Bill:
        return await self._get(_BILL, "bills", number)

    async def calls(
        self,
        *,
        number: str = "",
        outcome: str = "",
        since: str = "",
        until: str = "",
        cursor: str = "",
        limit: int = 50,
    ) -> Page[Call]:
        """Newest first; `since` and `until` are RFC 3339 instants on the call's invitation."""
        filters = {"number": number, "outcome": outcome, "from": since, "to": until}
        return await self._list(_CALLS, "calls", cursor=cursor, limit=limit, filters=filters)

    async def call(self, record_id: str) -> Call:
        return await self._get(_CALL, "calls", record_id)

    async def rejected_records(self, *, cursor: str = "", limit: int = 50) -> Page[RejectedRecord]:
        return await self._list(_REJECTED, "rejected-call-records", cursor=cursor, limit=limit, filters={})

    async def _get(self, answer: TypeAdapter[Item], *segments: str) -> Item:
        return await self._http.call("GET", self._http.url("v1", *segments), answer)

    async def _list(
        self, answer: TypeAdapter[Item], noun: str, *, cursor: str, limit: int, filters: Mapping[str, str]
    ) -> Item:
        query = {"limit": str(limit), "cursor": cursor, **filters}
        return await self._http.call(
            "GET",
            self._http.url("v1", noun),
            answer,
            query={key: value for key, value in query.items() if value},
        )
