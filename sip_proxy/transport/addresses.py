"""Which address of ours a peer sees, when we listen on all of them."""

import re
import socket
from ipaddress import IPv6Address
from pathlib import Path

WILDCARDS = frozenset({"0.0.0.0", "::"})
_MAPPED_PREFIX = "::ffff:"
_CACHE_SIZE = 20_000
_ANY_PORT = 5060


class LocalAddresses:
    """Answers, for a socket bound to a wildcard, with which address it reaches a peer.

    The kernel's routing decides, so we ask it, by connecting a scratch UDP socket (which sends nothing), and
    remember the answer.
    """

    def __init__(self) -> None:
        self._known: dict[str, str] = {}

    def towards(self, peer: str) -> str:
        """Return our IP address as the peer sees it.

        Raises OSError when there is no route to the peer.
        """
        local = self._known.get(peer)
        if local is None:
            family = socket.AF_INET6 if ":" in peer else socket.AF_INET
            with socket.socket(family, socket.SOCK_DGRAM) as scratch:
                scratch.connect((peer, _ANY_PORT))
                local = str(scratch.getsockname()[0])
            if len(self._known) >= _CACHE_SIZE:
                self._known.clear()
            self._known[peer] = local
        return local


def unmapped(host: str) -> str:
    """Return the IPv4 address inside an IPv4-mapped IPv6 address, or the address itself."""
    return host[len(_MAPPED_PREFIX) :] if host.startswith(_MAPPED_PREFIX) and "." in host else host


def mapped(host: str) -> str:
    """Return the address in the form that an IPv6 socket takes."""
    return host if ":" in host else _MAPPED_PREFIX + host


def addresses_of_this_machine() -> frozenset[str]:
    """List the IP addresses of all interfaces, as the Linux kernel shows them under `/proc/net`."""
    return _ipv4_addresses(_read("/proc/net/fib_trie")) | _ipv6_addresses(_read("/proc/net/if_inet6"))


def _ipv4_addresses(fib_trie: str) -> frozenset[str]:
    return frozenset(re.findall(r"\|-- ([\d.]+)\s+/32 host LOCAL", fib_trie))


def _ipv6_addresses(if_inet6: str) -> frozenset[str]:
    return frozenset(str(IPv6Address(int(line.split()[0], 16))) for line in if_inet6.splitlines() if line)


def _read(path: str) -> str:
    try:
        return Path(path).read_text(encoding="ascii")
    except FileNotFoundError:  # a kernel without IPv6, or not Linux: then only the configured addresses count
        return ""
