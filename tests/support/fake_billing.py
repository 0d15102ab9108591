"""Billing's two internal endpoints, for testing the exchange alone (`docs/api/internal.md`)."""

import hashlib
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.support.system import eventually

SERVICE_TOKEN = "service token of a test"


class FakeBilling:
    """A directory that tests fill, and the call records that came. Real HTTP, on a port of its own."""

    def __init__(self, *, realm: str = "tollbell.local") -> None:
        self.realm = realm
        self.records: dict[str, dict[str, Any]] = {}
        self.deliveries = 0
        self.duplicates = 0
        self.failure_status: int | None = None
        self.drop_answers = False
        self._changed = threading.Condition()
        self._version = 1
        self._accounts: dict[str, tuple[int, dict[str, Any]]] = {}
        self._settings: dict[str, Any] = {
            "concurrent_call_limit": None,
            "emergency_numbers": ["9911", "4911"],
            "ring_time_s": 60,
            "phone_test_interval_s": 0,
        }
        self._server: _Server | None = None
        self._thread: threading.Thread | None = None
        self.port = 0

    @property
    def address(self) -> str:
        """`host:port` for `TOLLBELL_BILLING_HTTP`."""
        return f"127.0.0.1:{self.port}"

    def start(self) -> None:
        """Listen, on the same port as before if there was one."""
        self._server = _Server(("127.0.0.1", self.port), self)
        self.port = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self._thread.start()

    def stop(self) -> None:
        """Go away: the port is closed and every connection with it."""
        if self._server is None or self._thread is None:
            return
        server, self._server = self._server, None
        with self._changed:
            self._changed.notify_all()
        server.shutdown()
        self._thread.join()
        server.server_close()

    @property
    def is_running(self) -> bool:
        return self._server is not None

    def add_account(self, number: str, password: str, **fields: Any) -> None:
        """Add an account, or replace it."""
        text = f"{number}:{self.realm}:{password}".encode()
        self.change_account(
            number,
            state="active",
            display_name=f"Phone {number}",
            ha1_md5=hashlib.md5(text).hexdigest(),
            ha1_sha256=hashlib.sha256(text).hexdigest(),
            call_limit=None,
            outgoing_filter=[],
            incoming_filter=[],
            block_list=[],
            **fields,
        )

    def change_account(self, number: str, **fields: Any) -> None:
        """Change some fields of an account."""
        with self._changed:
            self._version += 1
            _, account = self._accounts.get(number, (0, {"number": number}))
            self._accounts[number] = (self._version, {**account, **fields})
            self._changed.notify_all()

    def change_settings(self, **settings: Any) -> None:
        """Change exchange settings."""
        with self._changed:
            self._version += 1
            self._settings.update(settings)
            self._changed.notify_all()

    def wait_for_records(self, count: int = 1, *, timeout_s: float = 10.0) -> list[dict[str, Any]]:
        """Wait until so many records have come; return all of them, in order of arrival."""
        eventually(lambda: len(self.records) >= count, f"{count} call records come", timeout_s)
        return list(self.records.values())

    def directory_since(self, since: int, wait_s: float) -> dict[str, Any]:
        """Answer the directory feed."""
        deadline = time.monotonic() + wait_s
        with self._changed:
            while since == self._version and self.is_running:
                if not self._changed.wait(deadline - time.monotonic()):
                    break
            is_full = since == 0 or since > self._version
            return {
                "version": self._version,
                "full": is_full,
                "realm": self.realm,
                "settings": dict(self._settings),
                "accounts": [
                    account for version, account in self._accounts.values() if is_full or version > since
                ],
                "removed": [],
            }

    def take_records(self, records: list[dict[str, Any]]) -> dict[str, Any]:
        """Take call records, each once."""
        with self._changed:
            self.deliveries += 1
            results = []
            for record in records:
                is_known = record["record_id"] in self.records
                self.duplicates += is_known
                self.records.setdefault(record["record_id"], record)
                results.append(
                    {"record_id": record["record_id"], "status": "duplicate" if is_known else "stored"}
                )
            return {"results": results}


class _Server(ThreadingHTTPServer):
    allow_reuse_address = True
    daemon_threads = False
    block_on_close = True

    def __init__(self, address: tuple[str, int], billing: FakeBilling) -> None:
        self.billing = billing
        super().__init__(address, _Handler)


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        query = parse_qs(url.query)
        if self._is_admitted() and self._is_at("/internal/v1/directory", url.path):
            answer = self.server.billing.directory_since(int(query["since"][0]), float(query["wait"][0]))
            self._answer(200, answer)

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self._is_admitted() and self._is_at("/internal/v1/call-records", self.path):
            answer = self.server.billing.take_records(json.loads(body)["records"])
            if self.server.billing.drop_answers:
                self.close_connection = True
                return
            self._answer(200, answer)

    def _is_admitted(self) -> bool:
        if self.headers["Authorization"] != f"Bearer {SERVICE_TOKEN}":
            self._answer(401, {"title": "Unauthorized", "status": 401, "detail": "wrong token"})
            return False
        if self.server.billing.failure_status is not None:
            status = self.server.billing.failure_status
            self._answer(status, {"title": "Failure", "status": status, "detail": "as the test wants it"})
            return False
        return True

    def _is_at(self, path: str, wanted: str) -> bool:
        if path == wanted:
            return True
        self._answer(404, {"title": "Not Found", "status": 404, "detail": wanted})
        return False

    def _answer(self, status: int, document: dict[str, Any]) -> None:
        body = json.dumps(document).encode()
        self.close_connection = True
        try:
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
        except ConnectionError:
            return  # the exchange has gone, as some tests want

    def log_message(self, format: str, *arguments: Any) -> None:  # noqa: A002 (the base class names it so)
        """Keep quiet."""


@contextmanager
def running_fake_billing(**options: Any) -> Iterator[FakeBilling]:
    """Run a fake billing service."""
    billing = FakeBilling(**options)
    billing.start()
    try:
        yield billing
    finally:
        billing.stop()
