"""Addresses with a display name and parameters: From, To, Contact, Route (RFC 3261 §20.10)."""

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from sip_proxy.core.message.errors import MalformedMessage
from sip_proxy.core.message.grammar import parse_parameters, unquote_string
from sip_proxy.core.message.uri import LONGEST_ADDRESS, Uri, parse_uri

_NAME_ADDR: Final = re.compile(
    r'\s*+(?:("[^"\\]*+(?:\\.[^"\\]*+)*+")\s*+|([^<"]*+))<\s*+([^<>\s\x00-\x1f\x7f]*+)\s*+>((?:\s*+;.*+)?)\s*\Z',
    re.DOTALL,
)
_ADDR_SPEC: Final = re.compile(r"\s*+([^\s\x00-\x1f\x7f<>\",;?]++)((?:\s*+;.*+)?)\s*\Z", re.DOTALL)


@dataclass(frozen=True, slots=True)
class NameAddr:
    """An address as a header holds it. `uri` is the URI as written."""

    display_name: str
    uri: str
    parameters: dict[str, str]

    def parsed_uri(self) -> Uri:
        """Return the URI in parts; raises as `parse_uri` does."""
        return parse_uri(self.uri)

    @property
    def tag(self) -> str:
        """The dialog tag (RFC 3261 §19.3), "" when there is none."""
        return self.parameters.get("tag", "")


@lru_cache(maxsize=1024)
def parse_name_addr(value: str) -> NameAddr:
    """Read one address; raises MalformedMessage.

    Without angle brackets every parameter belongs to the header (RFC 3261 §20), and a `?` is not allowed.
    Names without quotes may hold more than tokens, as many phones write them, but no comma and no semicolon.
    """
    if len(value) > LONGEST_ADDRESS:
        raise MalformedMessage("An address is too long")
    match = _NAME_ADDR.match(value)
    if match is not None:
        quoted, plain, uri, parameter_text = match.groups()
        if plain and ("," in plain or ";" in plain):
            # Others would cut the header there; a proxy must not pass that on (RFC 4475 §3.1.2.15).
            raise MalformedMessage("A display name with separators must be quoted")
        display_name = unquote_string(quoted) if quoted else plain.strip()
    else:
        match = _ADDR_SPEC.match(value)
        if match is None:
            raise MalformedMessage("Malformed address")
        display_name = ""
        uri, parameter_text = match.groups()
    parameters = parse_parameters(parameter_text) if parameter_text else {}
    if parameters is None:
        raise MalformedMessage("Malformed parameters of an address")
    return NameAddr(display_name, uri, parameters)
