"""The directory: what billing sends, the copy on disk, and the feed that keeps both alike."""

import asyncio
import json
import stat
from collections.abc import AsyncIterator, Callable
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from sip_proxy.adapters.backoff import Backoff
from sip_proxy.adapters.billing_client import UnableToReachBilling
from sip_proxy.adapters.directory_copy import DirectoryCopy
from sip_proxy.adapters.directory_feed import DirectoryFeed
from sip_proxy.adapters.directory_json import (
    ForeignRealm,
    UnusableDirectory,
    directory_document,
    parse_update,
)
from sip_proxy.core.directory import AccountState, Directory, FilterAction, FilterRule

REALM = "tollbell.local"
ACCOUNT: dict[str, Any] = {
    "number": "0001",
    "state": "active",
    "display_name": "Alice Example",
    "ha1_md5": "0" * 32,
    "ha1_sha256": "1" * 64,
    "call_limit": 2,
    "outgoing_filter": [{"pattern": "9#*", "action": "deny"}],
    "incoming_filter": [],
    "block_list": ["0003"],
}
UPDATE: dict[str, Any] = {
    "version": 42,
    "full": True,
    "realm": REALM,
    "settings": {
        "concurrent_call_limit": 10,
        "emergency_numbers": ["9911"],
        "ring_time_s": 30,
        "phone_test_interval_s": 600,
    },
    "accounts": [ACCOUNT],
    "removed": [],
}


def update(**changes: Any) -> dict[str, Any]:
    return {**deepcopy(UPDATE), **changes}


def test_reads_a_whole_directory() -> None:
    directory = parse_update(UPDATE, realm=REALM).apply_to(Directory())
    account = directory.find("0001")

    assert directory.version == 42
    assert account is not None
    assert account.state is AccountState.ACTIVE
    assert account.display_name == "Alice Example"
    assert (account.ha1_md5, account.ha1_sha256) == ("0" * 32, "1" * 64)
    assert account.call_limit == 2
    assert account.outgoing_filter == (FilterRule("9#*", FilterAction.DENY),)
    assert account.block_list == {"0003"}
    assert directory.settings.concurrent_call_limit == 10
    assert directory.settings.ring_time_s == 30
    assert directory.settings.phone_test_interval_s == 600
    assert directory.is_emergency("9911")


def test_a_change_leaves_the_rest_alone() -> None:
    directory = parse_update(UPDATE, realm=REALM).apply_to(Directory())
    change = update(version=43, full=False, accounts=[{**ACCOUNT, "number": "0002", "state": "suspended"}])
    after = parse_update(change, realm=REALM).apply_to(directory)

    assert set(after.accounts) == {"0001", "0002"}
    assert after.accounts["0002"].state is AccountState.SUSPENDED


def test_a_removed_number_is_gone() -> None:
    directory = parse_update(UPDATE, realm=REALM).apply_to(Directory())
    change = update(version=43, full=False, accounts=[], removed=["0001", "0009"])

    assert parse_update(change, realm=REALM).apply_to(directory).accounts == {}


def test_a_whole_directory_replaces_everything() -> None:
    directory = parse_update(UPDATE, realm=REALM).apply_to(Directory())
    whole = update(accounts=[{**ACCOUNT, "number": "0002"}])

    assert set(parse_update(whole, realm=REALM).apply_to(directory).accounts) == {"0002"}


def test_a_directory_of_another_realm_is_refused() -> None:
    with pytest.raises(ForeignRealm, match=r"elsewhere.*tollbell\.local"):
        parse_update(update(realm="elsewhere"), realm=REALM)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"version": "42"}, "wrong kind"),
        ({"accounts": None}, "wrong kind"),
        ({"settings": {}}, "settings"),
        ({"settings": {**UPDATE["settings"], "ring_time_s": 0}}, "settings"),
        ({"settings": {**UPDATE["settings"], "phone_test_interval_s": -1}}, "settings"),
        ({"accounts": [{}]}, "without a number"),
        ({"accounts": [{**ACCOUNT, "state": "asleep"}]}, "0001"),
        ({"accounts": [{**ACCOUNT, "ha1_md5": "short"}]}, "0001"),
        ({"accounts": [{**ACCOUNT, "call_limit": "2"}]}, "0001"),
        ({"accounts": [{**ACCOUNT, "incoming_filter": [{"pattern": "1"}]}]}, "0001"),
        ({"accounts": [{**ACCOUNT, "incoming_filter": [{"pattern": "1", "action": "maybe"}]}]}, "0001"),
    ],
)
def test_what_is_not_in_the_contract_is_refused(change: dict[str, Any], why: str) -> None:
    with pytest.raises(UnusableDirectory, match=why):
        parse_update(update(**change), realm=REALM)


@pytest.mark.parametrize("document", [None, [], "x", {}])
def test_what_is_no_directory_at_all_is_refused(document: object) -> None:
    with pytest.raises(UnusableDirectory):
        parse_update(document, realm=REALM)


def test_the_copy_is_read_as_it_was_written(tmp_path: Path) -> None:
    directory = parse_update(UPDATE, realm=REALM).apply_to(Directory())
    copy = DirectoryCopy(tmp_path / "var" / "directory.json", realm=REALM)
    copy.save(directory_document(directory, realm=REALM))
    loaded = copy.load()

    assert loaded is not None
    assert loaded.apply_to(Directory()) == directory


def test_the_copy_is_its_owners_alone(tmp_path: Path) -> None:
    path = tmp_path / "directory.json"
    DirectoryCopy(path, realm=REALM).save(UPDATE)

    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_there_may_be_no_copy(tmp_path: Path) -> None:
    assert DirectoryCopy(tmp_path / "directory.json", realm=REALM).load() is None


@pytest.mark.parametrize("content", [b"", b"{", b"\xff", b"{}", json.dumps(update(realm="x")).encode()])
def test_an_unusable_copy_says_so(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "directory.json"
    path.write_bytes(content)

    with pytest.raises(UnusableDirectory):
        DirectoryCopy(path, realm=REALM).load()


def test_a_copy_that_fails_half_way_leaves_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / "directory.json"
    copy = DirectoryCopy(path, realm=REALM)
    copy.save(UPDATE)
    with pytest.raises(TypeError):
        copy.save({"version": object()})

    assert json.loads(path.read_text()) == UPDATE
    copy.save(update(version=43))
    assert json.loads(path.read_text())["version"] == 43


@dataclass
class Holder:
    directory: Directory = field(default_factory=Directory)


class Source:
    """Billing's side of the feed."""

    def __init__(self) -> None:
        self.answers: asyncio.Queue[object] = asyncio.Queue()
        self.asked_since: list[int] = []

    async def fetch_directory(self, *, since: int, wait_s: int) -> object:
        assert 0 < wait_s <= 60
        self.asked_since.append(since)
        answer = await self.answers.get()
        if isinstance(answer, Exception):
            raise answer
        return answer


class Feed:
    """A running feed and everything around it."""

    def __init__(self, path: Path) -> None:
        self.source = Source()
        self.holder = Holder()
        self.contacts = 0
        self.path = path
        self.feed = DirectoryFeed(
            self.source,
            self.holder,
            DirectoryCopy(path, realm=REALM),
            realm=REALM,
            backoff=Backoff(random=lambda: 0.0, first_s=0.0),
            on_contact=self._contact,
            on_change=self._change,
        )
        self.versions: list[int] = []

    def _contact(self) -> None:
        self.contacts += 1

    def _change(self) -> None:
        self.versions.append(self.holder.directory.version)


@pytest.fixture
async def feed(tmp_path: Path) -> AsyncIterator[Feed]:
    feed = Feed(tmp_path / "directory.json")
    task = asyncio.ensure_future(feed.feed.run())
    yield feed
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def until(condition: Callable[[], bool]) -> None:
    for _ in range(10_000):
        if condition():
            return
        await asyncio.sleep(0)
    raise AssertionError("it did not come to pass")


async def test_asks_for_everything_first_and_then_for_what_changed(feed: Feed) -> None:
    feed.source.answers.put_nowait(UPDATE)
    await until(lambda: len(feed.source.asked_since) == 2)
    feed.source.answers.put_nowait(update(version=43, full=False, accounts=[], removed=["0001"]))
    await until(lambda: len(feed.source.asked_since) == 3)

    assert feed.source.asked_since == [0, 42, 43]
    assert feed.versions == [42, 43]
    assert feed.holder.directory.version == 43
    assert feed.holder.directory.accounts == {}
    assert feed.feed.loaded.is_set()


@pytest.mark.parametrize(
    "trouble", [UnableToReachBilling("refused"), {"version": 1}, update(realm="elsewhere")]
)
async def test_trouble_keeps_the_directory_and_asks_again(feed: Feed, trouble: object) -> None:
    feed.source.answers.put_nowait(UPDATE)
    await until(lambda: feed.holder.directory.version == 42)
    feed.source.answers.put_nowait(trouble)
    await until(lambda: len(feed.source.asked_since) == 3)

    assert set(feed.holder.directory.accounts) == {"0001"}
    assert feed.source.asked_since == [0, 42, 42]
    assert feed.contacts == 1


async def test_a_foreign_directory_does_not_make_the_exchange_ready(feed: Feed) -> None:
    feed.source.answers.put_nowait(update(realm="elsewhere"))
    await until(lambda: len(feed.source.asked_since) == 2)

    assert not feed.feed.loaded.is_set()
    assert feed.holder.directory.accounts == {}


async def test_a_replaced_database_replaces_the_directory(feed: Feed) -> None:
    feed.source.answers.put_nowait(UPDATE)
    await until(lambda: feed.holder.directory.version == 42)
    feed.source.answers.put_nowait(update(version=3, accounts=[{**ACCOUNT, "number": "0002"}]))
    await until(lambda: feed.holder.directory.version == 3)

    assert set(feed.holder.directory.accounts) == {"0002"}


async def test_starts_from_the_copy_while_billing_is_away(tmp_path: Path) -> None:
    first = Feed(tmp_path / "directory.json")
    DirectoryCopy(first.path, realm=REALM).save(UPDATE)
    first.feed.load_copy()

    assert first.feed.loaded.is_set()
    assert set(first.holder.directory.accounts) == {"0001"}


async def test_an_unusable_copy_is_passed_over(tmp_path: Path) -> None:
    feed = Feed(tmp_path / "directory.json")
    feed.path.write_text("{")
    feed.feed.load_copy()

    assert not feed.feed.loaded.is_set()


async def test_saves_the_directory_when_it_has_changed(feed: Feed) -> None:
    await feed.feed.save_copy()
    assert not feed.path.exists()

    feed.source.answers.put_nowait(UPDATE)
    await until(feed.feed.loaded.is_set)
    await feed.feed.save_copy()
    assert json.loads(feed.path.read_text())["version"] == 42

    feed.path.unlink()
    await feed.feed.save_copy()
    assert not feed.path.exists()


async def test_a_copy_that_cannot_be_saved_is_tried_again(feed: Feed) -> None:
    feed.source.answers.put_nowait(UPDATE)
    await until(feed.feed.loaded.is_set)
    feed.path.mkdir()
    await feed.feed.save_copy()
    feed.path.rmdir()
    await feed.feed.save_copy()

    assert feed.path.is_file()
