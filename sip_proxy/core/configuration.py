"""What the engine must be told at its start."""

from collections.abc import Mapping
from dataclasses import dataclass

from sip_proxy.core.flow import Transport


@dataclass(frozen=True, slots=True)
class EngineConfig:
    """What the engine must know about its surroundings.

    `local_addresses` are the concrete (IP address, port) pairs that we listen on, never a wildcard: requests
    addressed to one of them, or to one of their IP addresses, are for our domain. `listening` gives for each
    transport the (IP address, port) to name in Via and Record-Route when a message goes to a `Destination`,
    where there is no flow yet. `nonce_secret` should outlive a restart. Durations are in seconds.

    Every `nat_keep_alive_s` (0: never) a phone behind NAT on UDP gets a few bytes that keep its flow open.
    Every `life_check_interval_s` a side of a call that gave no sign of life is asked for one; after
    `life_check_failures` vain attempts in a row the call is over. `session_interval_s` is what the exchange
    asks for as session timer (RFC 4028), `minimum_session_interval_s` the least that it accepts. After
    `phone_test_failures` failed tests in a row a phone is out of service.
    """

    domain: str
    local_addresses: frozenset[tuple[str, int]]
    listening: Mapping[Transport, tuple[str, int]]
    nonce_secret: bytes
    t1_s: float = 0.5
    t2_s: float = 4.0
    t4_s: float = 5.0
    timer_c_s: float = 181.0
    default_expiry_s: int = 3600
    minimum_expiry_s: int = 60
    maximum_expiry_s: int = 7200
    maximum_bindings: int = 10
    nat_keep_alive_s: float = 0.0
    life_check_interval_s: float = 60.0
    life_check_failures: int = 3
    session_interval_s: int = 1800
    minimum_session_interval_s: int = 90
    phone_test_failures: int = 3
