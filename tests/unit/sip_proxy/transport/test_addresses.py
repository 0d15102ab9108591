"""Which addresses are ours."""

import socket

import pytest

from sip_proxy.transport import addresses
from sip_proxy.transport.addresses import LocalAddresses, addresses_of_this_machine, mapped, unmapped

FIB_TRIE = """Main:
  +-- 0.0.0.0/0 3 0 5
     +-- 127.0.0.0/8 2 0 2
        |-- 127.0.0.0
           /8 host LOCAL
        |-- 127.0.0.1
           /32 host LOCAL
        |-- 127.255.255.255
           /32 link BROADCAST
     |-- 192.0.2.2
        /32 host LOCAL
"""
IF_INET6 = """00000000000000000000000000000001 01 80 10 80       lo
20010db8000000000000000000000002 02 40 00 80     eth0
"""


def test_reads_the_kernels_tables(monkeypatch: pytest.MonkeyPatch) -> None:
    files = {"/proc/net/fib_trie": FIB_TRIE, "/proc/net/if_inet6": IF_INET6}
    monkeypatch.setattr(addresses, "_read", files.__getitem__)

    assert addresses_of_this_machine() == {"127.0.0.1", "192.0.2.2", "::1", "2001:db8::2"}


def test_this_machine_has_a_loopback() -> None:
    assert "127.0.0.1" in addresses_of_this_machine()


def test_a_machine_may_lack_a_table() -> None:
    assert addresses._read("/proc/net/no such table") == ""


def test_a_peer_on_this_machine_sees_our_loopback() -> None:
    assert LocalAddresses().towards("127.0.0.1") == "127.0.0.1"


def test_the_kernel_is_asked_once_for_each_peer(monkeypatch: pytest.MonkeyPatch) -> None:
    local_addresses = LocalAddresses()
    local_addresses.towards("127.0.0.1")

    def never(*arguments: object) -> None:
        raise AssertionError("asked again")

    monkeypatch.setattr(socket, "socket", never)
    assert local_addresses.towards("127.0.0.1") == "127.0.0.1"


def test_memory_of_peers_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(addresses, "_CACHE_SIZE", 3)
    local_addresses = LocalAddresses()
    for number in range(1, 20):
        local_addresses.towards(f"127.0.0.{number}")

    assert len(local_addresses._known) <= 3


@pytest.mark.parametrize(
    ("on_ipv6", "address"),
    [("::ffff:192.0.2.1", "192.0.2.1"), ("2001:db8::1", "2001:db8::1"), ("::1", "::1")],
)
def test_ipv4_addresses_on_ipv6_sockets(on_ipv6: str, address: str) -> None:
    assert unmapped(on_ipv6) == address
    assert mapped(address) == on_ipv6
