"""Keep-alives of phones on UDP: STUN binding requests on the SIP port (RFC 5626 §3.5.2, RFC 5389).

The answer tells the phone where its datagrams come from, so that it notices when its NAT has moved it.
"""

import ipaddress
import struct
from typing import Final

_HEADER: Final = struct.Struct("!HHI12s")  # type, length of what follows, magic cookie, transaction id
_BINDING_REQUEST: Final = 0x0001
_BINDING_RESPONSE: Final = 0x0101
_MAGIC_COOKIE: Final = 0x2112A442
_XOR_MAPPED_ADDRESS: Final = 0x0020
_FAMILIES: Final = {4: 1, 6: 2}


def binding_response(data: bytes, address: str, port: int) -> bytes | None:
    """Return the answer to a binding request that came from this address, None when it is none (§15.2)."""
    if len(data) < _HEADER.size:
        return None
    kind, length, cookie, transaction_id = _HEADER.unpack_from(data)
    if kind != _BINDING_REQUEST or cookie != _MAGIC_COOKIE or length != len(data) - _HEADER.size:
        return None
    ip = ipaddress.ip_address(address)
    mask = (_MAGIC_COOKIE.to_bytes(4, "big") + transaction_id)[: len(ip.packed)]
    hidden = bytes(byte ^ other for byte, other in zip(ip.packed, mask, strict=True))
    value = struct.pack("!xBH", _FAMILIES[ip.version], port ^ (_MAGIC_COOKIE >> 16)) + hidden
    attribute = struct.pack("!HH", _XOR_MAPPED_ADDRESS, len(value)) + value
    return _HEADER.pack(_BINDING_RESPONSE, len(attribute), _MAGIC_COOKIE, transaction_id) + attribute
