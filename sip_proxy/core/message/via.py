"""The Via header (RFC 3261 §20.42, §18.2.1) and its `rport` (RFC 3581)."""

import re
from functools import lru_cache
from typing import NamedTuple

from sip_proxy.core.message.errors import MalformedMessage
from sip_proxy.core.message.grammar import parse_parameters

MAGIC_COOKIE = "z9hG4bK"
_VIA = re.compile(
    r"\s*SIP\s*/\s*2\.0\s*/\s*([A-Za-z0-9\-.!%*_+`'~]+)\s+"
    r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._\-]+)"
    r"(?:\s*:\s*([0-9]{1,5}))?"
    r"((?:\s*;.*)?)\s*\Z",
    re.IGNORECASE | re.DOTALL,
)
# What nearly every peer writes: one space, no other, no quotes.
_PLAIN_VIA = re.compile(
    r"SIP/2\.0/([A-Z]+) ([0-9.]+|[A-Za-z0-9._\-]+|\[[0-9A-Fa-f:.]+\])(?::([0-9]{1,5}))?"
    r"((?:;[^\s;=,\"<>]+(?:=[^\s;,\"]*)?)*)\Z"
)
# The few forms of a whole line that most phones write: this, a branch, and `rport` before or after it or not.
_USUAL_SENT_BY = re.compile(r"(?:Via|v): SIP/2\.0/([A-Z]+) ([0-9a-z.\-]+):([0-9]{1,5})\Z")
_USUAL_BRANCH = re.compile(r"branch=[!#-+\--:?-~]+\Z")
_LONGEST_SENT_BY = 128
_ASKED_FOR_PORT = {"rport": ""}
_NO_PARAMETERS: dict[str, str] = {}
_RPORT = re.compile(r";\s*rport\s*(?:=\s*[0-9]*)?(?=\s*(?:;|\Z))", re.IGNORECASE)


class Via(NamedTuple):
    """The topmost Via value, in parts. `branch` is "" when there is none; `port` is None when not given.

    `parameters` are the others: without `branch`.
    """

    transport: str
    host: str
    port: int | None
    branch: str
    parameters: dict[str, str]

    @property
    def sent_by(self) -> str:
        """Host and port as one key, as transactions are matched by it (RFC 3261 §17.2.3)."""
        return f"{self.host}:{self.port or ''}"

    @property
    def has_magic_cookie(self) -> bool:
        """Whether the branch is one of RFC 3261: unique, and so enough to match a transaction by."""
        branch = self.branch
        return len(branch) > 7 and (branch.startswith(MAGIC_COOKIE) or branch[:7].lower() == "z9hg4bk")


def read_usual_via(line: str, address: str, port: int) -> tuple[Via, str] | None:
    """Read a Via line, and write into it where it came from, all at once; None when it has no usual form.

    The same as `parse_via` and `with_source` do in general.
    """
    begin, *parameters = line.split(";")
    known = _ASKED_FOR_PORT
    if len(parameters) == 1:
        branch = parameters[0]
        known = _NO_PARAMETERS
        stamped = line
    elif len(parameters) != 2:
        return None
    elif parameters[0] == "rport":
        branch = parameters[1]
        stamped = f"{begin};rport={port};{branch}"
    elif parameters[1] == "rport":
        branch = parameters[0]
        stamped = f"{line}={port}"
    else:
        return None
    sent_by = _usual_sent_by(begin) if len(begin) <= _LONGEST_SENT_BY else None
    if sent_by is None or _USUAL_BRANCH.match(branch) is None:
        return None
    transport, host, sent_port = sent_by
    if known is _ASKED_FOR_PORT or host != address:
        stamped = f"{stamped};received={address}"
    return Via(transport, host, sent_port, branch[7:], known), stamped


@lru_cache(maxsize=4096)
def _usual_sent_by(begin: str) -> tuple[str, str, int] | None:
    match = _USUAL_SENT_BY.match(begin)
    return None if match is None else (match[1], match[2], int(match[3]))


def parse_via(value: str) -> Via:
    """Read one Via value; raises MalformedMessage."""
    match = _PLAIN_VIA.match(value) or _VIA.match(value)
    if match is None:
        raise MalformedMessage("Malformed Via header")
    transport, host, port, parameter_text = match.groups()
    found = parse_parameters(parameter_text) if parameter_text else {}
    if found is None:
        raise MalformedMessage("Malformed Via parameters")
    branch = found.pop("branch", "")
    return Via(transport.upper(), host.lower(), int(port) if port else None, branch, found)


def with_source(value: str, via: Via, address: str, port: int) -> str:
    """Write into a received Via value where it really came from: `received` and, when asked for, `rport`.

    RFC 3261 §18.2.1: `received` when sent-by is not that address; RFC 3581 §4: always along with `rport`.
    """
    asks_for_port = "rport" in via.parameters
    host = via.host[1:-1] if via.host.startswith("[") else via.host
    if not asks_for_port and host == address:
        return value
    if asks_for_port and value.endswith(";rport"):
        value = f"{value}={port}"
    elif asks_for_port:
        value = _RPORT.sub(f";rport={port}", value, count=1)
    if "received" in via.parameters:
        value = re.sub(r";\s*received\s*=\s*[^;\s]*", "", value, count=1, flags=re.IGNORECASE)
    return f"{value};received={address}"
