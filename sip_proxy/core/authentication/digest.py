"""Digest credentials: reading the header that a phone sends, and computing the response that it should hold.

Sources: RFC 3261 §22, RFC 7616, RFC 8760. Only `qop=auth` is spoken: without it there is no nonce count, so a
response that was overheard could be used again.
"""

import hashlib
import re
from collections.abc import Callable
from enum import Enum
from functools import partial
from typing import Final

from sip_proxy.core.remembering import remember

try:
    # Python's own needs a fifth of the code that OpenSSL goes through for so short a text.
    from _md5 import md5  # type: ignore[import-not-found]
except ImportError:
    md5 = partial(hashlib.md5, usedforsecurity=False)  # or an OpenSSL that must not use it would refuse


class Algorithm(Enum):
    """A digest algorithm; the value is its token in the header (RFC 7616 §6.1)."""

    SHA_256 = "SHA-256"
    MD5 = "MD5"

    # As for `Transport`: else every look-up by algorithm makes a hash of the name.
    __hash__ = object.__hash__


class MalformedCredentials(ValueError):
    """The credentials can't be used. The text says why, in words fit for a reason phrase."""


class DigestCredentials:
    """What a phone sends in `Authorization` or `Proxy-Authorization` (RFC 7616 §3.4).

    `nonce_count_text` is the count as written, because that is what was hashed.
    """

    __slots__ = (
        "algorithm", "cnonce", "nonce", "nonce_count", "nonce_count_text", "realm", "response", "uri",
        "username",
    )  # fmt: skip

    def __init__(
        self,
        username: str,
        realm: str,
        nonce: str,
        uri: str,
        response: str,
        algorithm: Algorithm,
        cnonce: str,
        nonce_count_text: str,
    ) -> None:
        self.username = username
        self.realm = realm
        self.nonce = nonce
        self.uri = uri
        self.response = response
        self.algorithm = algorithm
        self.cnonce = cnonce
        self.nonce_count_text = nonce_count_text
        self.nonce_count = int(nonce_count_text, 16)


# RFC 3261 §25.1: auth-param = token EQUAL ( token / quoted-string ). The unquoted form takes more than a
# token, as phones are seen that forget the quotes of the uri.
_PARAMETER: Final = re.compile(
    r"""[\s,]*+([\w!%*+`'~.-]++)[ \t\r\n]*+=[ \t\r\n]*+"""
    r"""(?:"([^"\\]*+(?:\\.[^"\\]*+)*+)"|([^\s,"]++))\s*+(?:,|\Z)""",
    re.DOTALL | re.ASCII,
)
# What nearly every phone writes, in any order: each parameter once, quoted where RFC 7616 §3.4 says so, and
# nowhere a backslash.
_USUAL: Final = (
    ("username", r'"([^"]*+)"'),
    ("realm", r'"([^"]*+)"'),
    ("nonce", r'"([^"]*+)"'),
    ("uri", r'"([^"]*+)"'),
    ("response", r'"([^"]*+)"'),
    ("algorithm", r"(MD5|SHA-256)"),
    ("cnonce", r'"([^"]*+)"'),
    ("nc", r"([0-9A-Fa-f]{1,8})"),
    ("qop", r"(auth)"),
)
_USUAL_CREDENTIALS: Final = re.compile(
    "Digest (?:(?:"
    + "|".join(f"{name}=(?({group})(?!)){value}" for group, (name, value) in enumerate(_USUAL, start=1))
    + r")(?:, ?+|\Z))++\Z"
)
_QUOTED_PAIR: Final = re.compile(r"\\(.)", re.DOTALL)
_NONCE_COUNT: Final = re.compile(r"[0-9A-Fa-f]{1,8}\Z")
_SCHEME: Final = "digest"
_LONGEST_REMEMBERED: Final = 64
_ALGORITHMS: Final = {algorithm.value: algorithm for algorithm in Algorithm}
# MD5 is offered, last, because most phones know nothing else (RFC 8760 §2.1 allows that).
_HASH: Final[dict[Algorithm, Callable[[bytes], "hashlib._Hash"]]] = {
    Algorithm.SHA_256: hashlib.sha256,
    Algorithm.MD5: md5,
}
_HEX_DIGITS: Final = {Algorithm.SHA_256: 64, Algorithm.MD5: 32}


def parse_credentials(value: str) -> DigestCredentials:
    """Read the value of an `Authorization` or `Proxy-Authorization` header.

    Real phones quote `algorithm`, `qop` and `nc` although RFC 7616 §3.4 says they must not; that is accepted.

    Raises:
        MalformedCredentials: the header is not Digest, breaks the grammar, lacks a parameter, has one twice,
        or
            uses an algorithm or quality of protection that is never offered here.
    """
    usual = None if "\\" in value else _USUAL_CREDENTIALS.match(value)
    if usual is not None and None not in (found := usual.groups()):
        username, realm, nonce, uri, response, algorithm_text, cnonce, nonce_count_text, _ = found
        return DigestCredentials(
            username,
            realm,
            nonce,
            uri,
            response,
            _ALGORITHMS[algorithm_text],
            cnonce,
            nonce_count_text,
        )
    parameters = _parse_parameters(value)
    algorithm = _ALGORITHMS.get(parameters.get("algorithm", Algorithm.MD5.value).upper())
    if algorithm is None:
        raise MalformedCredentials("Unknown digest algorithm")
    if parameters.get("qop", "").lower() != "auth":
        raise MalformedCredentials("Digest needs qop=auth")
    nonce_count_text = parameters.get("nc", "")
    if not _NONCE_COUNT.match(nonce_count_text):
        raise MalformedCredentials("Bad nonce count")
    try:
        return DigestCredentials(
            username=parameters["username"],
            realm=parameters["realm"],
            nonce=parameters["nonce"],
            uri=parameters["uri"],
            response=parameters["response"],
            algorithm=algorithm,
            cnonce=parameters["cnonce"],
            nonce_count_text=nonce_count_text,
        )
    except KeyError as missing:
        raise MalformedCredentials(f"Digest without {missing.args[0]}") from None


def _parse_parameters(value: str) -> dict[str, str]:
    scheme, _, rest = value.strip().partition(" ")
    if scheme.lower() != _SCHEME:
        raise MalformedCredentials("Only Digest authentication is spoken here")
    rest = rest.strip().rstrip(",")
    parameters: dict[str, str] = {}
    position = 0
    # Match by match, each where the last one ended: a search would look from every character of a long
    # header to its end.
    while position < len(rest):
        match = _PARAMETER.match(rest, position)
        if match is None:
            raise MalformedCredentials("Malformed digest credentials")
        position = match.end()
        name, quoted, bare = match.groups()
        name = name.lower()
        if name in parameters:
            raise MalformedCredentials(f"Digest with two {name}s")
        parameters[name] = _unescape(quoted) if bare is None else bare
    return parameters


def _unescape(quoted: str) -> str:
    return _QUOTED_PAIR.sub(r"\1", quoted) if "\\" in quoted else quoted


def compute_response(
    *, algorithm: Algorithm, ha1: str, method: str, uri: str, nonce: str, nonce_count: str, cnonce: str
) -> str:
    """Compute the response that proves knowledge of `ha1`, as lower-case hex digits (RFC 7616 §3.4.1).

    `ha1` is `HASH(username ":" realm ":" password)` by the same algorithm, in lower-case hex digits.
    """
    ha2 = _ha2(algorithm, method, uri)
    proof = f"{ha1}:{nonce}:{nonce_count}:{cnonce}:auth:{ha2}"
    return _HASH[algorithm](proof.encode("utf-8", "surrogateescape")).hexdigest()


_ha2s: Final[dict[tuple[Algorithm, str, str], str]] = {}


def _ha2(algorithm: Algorithm, method: str, uri: str) -> str:
    """Hash what is asked for. There is no secret in it, and all phones register at the same URI."""
    key = (algorithm, method, uri)
    known = _ha2s.get(key)
    if known is not None:
        return known
    ha2 = _HASH[algorithm](f"{method}:{uri}".encode("utf-8", "surrogateescape")).hexdigest()
    return ha2 if len(uri) > _LONGEST_REMEMBERED else remember(_ha2s, key, ha2, 512)


def no_ones_ha1(algorithm: Algorithm) -> str:
    """Return an HA1 that no password has, to spend the same time on a user who does not exist."""
    return "g" * _HEX_DIGITS[algorithm]
