"""What the core alone costs per registration and per call: no socket, no journal, no other process.

    python -m bench.sip.core_cost [--calls 3000] [--profile] [--pause-ms 1]

The messages are those of the SIPp scenarios. Only the engine's own time is counted, step by step, so a change
to the core can be judged in seconds. Of each step the median is taken, which a busy machine disturbs least.
`--profile` prints where the time goes. `--pause-ms` waits before each message, as a running exchange does:
what was in the caches of a shared machine is gone then.
"""

import argparse
import cProfile
import gc
import hashlib
import os
import pstats
import re
import statistics
import time
from collections import defaultdict
from collections.abc import Callable, Generator
from dataclasses import dataclass, field

from bench.sip import FORM
from sip_proxy.core.directory import Account, AccountState, Directory
from sip_proxy.core.engine import Engine, EngineConfig
from sip_proxy.core.flow import Flow, Transport
from sip_proxy.core.outputs import CallRecorded, Send

DOMAIN = "bench.local"
EXCHANGE = ("127.0.0.1", 5060)
CALLING = Flow(Transport.UDP, ("127.0.0.1", 6001), EXCHANGE)
CALLED = Flow(Transport.UDP, ("127.0.0.1", 6002), EXCHANGE)
SDP = (
    "v=0\r\no=bench 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n"
    "m=audio 40000 RTP/AVP 0 8 101\r\n"
    "a=rtpmap:0 PCMU/8000\r\na=rtpmap:8 PCMA/8000\r\na=rtpmap:101 telephone-event/8000\r\na=sendrecv\r\n"
)

Steps = Generator[tuple[str, str, Flow], list[str], None]
"""What phones do: each step is its name, a message and the flow it comes on; sent in is what is answered."""


@dataclass(slots=True)
class Bench:
    """An engine, a clock that stands still but for what each step adds, and the time that each step took."""

    engine: Engine
    now: float = 1000.0
    records: int = 0
    pause_s: float = 0.0
    step_ns: defaultdict[str, list[int]] = field(default_factory=lambda: defaultdict(list))

    def step(self, name: str, data: str, flow: Flow) -> list[str]:
        """Let the engine have a message; return what it sends."""
        raw = data.encode()
        self.now += 0.0005
        if self.pause_s:
            time.sleep(self.pause_s)
        started = time.thread_time_ns()
        self.engine.receive(raw, flow, self.now)
        outputs = self.engine.take_outputs()
        deadline = self.engine.next_deadline()
        if deadline is not None and deadline <= self.now:
            self.engine.expire(self.now)
            outputs += self.engine.take_outputs()
        self.step_ns[name].append(time.thread_time_ns() - started)
        self.records += sum(isinstance(output, CallRecorded) for output in outputs)
        return [output.data.decode() for output in outputs if isinstance(output, Send)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=3000)
    parser.add_argument("--phones", type=int, default=1000)
    parser.add_argument("--profile", action="store_true")
    parser.add_argument("--pause-ms", type=float, default=0.0)
    arguments = parser.parse_args()
    gc.set_threshold(10_000, 100, 100)  # as the server does
    bench = Bench(make_engine(arguments.phones))
    numbers = [str(100000 + index) for index in range(arguments.phones)]
    for number in numbers:
        register(bench, number)
    for serial in range(200):  # warm caches
        call(bench, numbers, serial)
    _print(bench, "registration", lambda name: name.startswith("REGISTER"))
    bench.step_ns.clear()
    bench.pause_s = arguments.pause_ms / 1000
    profiler = cProfile.Profile()
    if arguments.profile:
        profiler.enable()
    for serial in range(200, 200 + arguments.calls):
        call(bench, numbers, serial)
    profiler.disable()
    _print(bench, "call", lambda name: True)
    assert bench.records == arguments.calls + 200
    if arguments.profile:
        pstats.Stats(profiler).sort_stats("tottime").print_stats(45)


def make_engine(phones: int, *, random_bytes: Callable[[int], bytes] = os.urandom) -> Engine:
    """An engine with so many accounts, numbered from 100000."""
    accounts = {}
    for number in (str(100000 + index) for index in range(phones)):
        credentials = f"{number}:{DOMAIN}:secret".encode()
        accounts[number] = Account(
            number=number,
            state=AccountState.ACTIVE,
            display_name=f"Phone {number}",
            ha1_md5=hashlib.md5(credentials).hexdigest(),
            ha1_sha256=hashlib.sha256(credentials).hexdigest(),
        )
    config = EngineConfig(
        domain=DOMAIN,
        local_addresses=frozenset({EXCHANGE}),
        listening={Transport.UDP: EXCHANGE},
        nonce_secret=b"bench",
    )
    engine = Engine(config=config, directory=Directory(1, accounts=accounts), random_bytes=random_bytes)
    engine.wall_offset = 1_790_000_000.0
    engine.is_watched = False  # as in an exchange whose console nobody has open
    return engine


def register(bench: Bench, number: str) -> None:
    """Register one phone, with challenge."""
    _walk(bench, registration(number))


def call(bench: Bench, numbers: list[str], serial: int, *, is_ended: bool = True) -> None:
    """Make one call, from the first INVITE to the end, or to the ACK of the answer."""
    _walk(bench, call_steps(numbers, serial, is_ended=is_ended))


def _walk(bench: Bench, steps: Steps) -> None:
    step = next(steps, None)
    while step is not None:
        try:
            step = steps.send(bench.step(*step))
        except StopIteration:
            return


def registration(number: str) -> Steps:
    """What a phone sends to register, with challenge."""

    def message(cseq: int, extra: str) -> str:
        return (
            f"REGISTER sip:{DOMAIN} SIP/2.0\r\n"
            f"Via: SIP/2.0/UDP 127.0.0.1:6002;rport;branch=z9hG4bK-r-{number}-{cseq}\r\n"
            f"From: <sip:{number}@{DOMAIN}>;tag={number}\r\nTo: <sip:{number}@{DOMAIN}>\r\n"
            f"Call-ID: r-{number}\r\nCSeq: {cseq} REGISTER\r\nContact: <sip:{number}@127.0.0.1:6002>\r\n"
            f"{extra}Max-Forwards: 70\r\nExpires: 3600\r\nUser-Agent: bench\r\nContent-Length: 0\r\n\r\n"
        )

    [challenge] = yield ("REGISTER", message(1, ""), CALLED)
    answer = _credentials("Authorization", challenge, number, "REGISTER", f"sip:{DOMAIN}")
    [ok] = yield ("REGISTER 2", message(2, answer), CALLED)
    assert ok.startswith("SIP/2.0 200")


def call_steps(numbers: list[str], serial: int, *, is_ended: bool = True) -> Steps:
    """What the two phones of one call send, from the first INVITE to the end, or to the ACK of the answer."""
    caller = numbers[serial % len(numbers)]
    callee = numbers[(serial + len(numbers) // 2) % len(numbers)]
    uri = f"sip:{callee}@{DOMAIN}"
    call_id = f"{serial}-4711@127.0.0.1"

    def request(method: str, target: str, cseq: int, to: str, extra: str = "", body: str = "") -> str:
        return (
            f"{method} {target} SIP/2.0\r\n"
            f"Via: SIP/2.0/UDP 127.0.0.1:6001;rport;branch=z9hG4bK-4711-{serial}-{cseq}-{method}\r\n"
            f'From: "Caller {caller}" <sip:{caller}@{DOMAIN}>;tag={serial}\r\nTo: {to}\r\n'
            f"Call-ID: {call_id}\r\nCSeq: {cseq} {method}\r\nContact: <sip:{caller}@127.0.0.1:6001>\r\n"
            f"{extra}Max-Forwards: 70\r\nAllow: INVITE, ACK, CANCEL, BYE, OPTIONS\r\nUser-Agent: bench\r\n"
            + (
                f"Content-Type: application/sdp\r\nContent-Length: {len(body)}\r\n\r\n{body}"
                if body
                else "\r\n"
            )
        )

    [challenge] = yield ("INVITE", request("INVITE", uri, 1, f"<{uri}>", body=SDP), CALLING)
    ack = request("ACK", uri, 1, _header(challenge, "To")).replace("-1-ACK", "-1-INVITE")
    yield ("ACK of 407", ack, CALLING)
    answer = _credentials("Proxy-Authorization", challenge, caller, "INVITE", uri)
    sent = yield ("INVITE 2", request("INVITE", uri, 2, f"<{uri}>", answer, SDP), CALLING)
    [invite] = [message for message in sent if message.startswith("INVITE")]

    to = f"{_header(invite, 'To')};tag=c{serial}"
    copied = "".join(
        f"{line}\r\n"
        for line in invite.split("\r\n")
        if line.startswith(("Via:", "Record-Route:", "From:", "Call-ID:", "CSeq:"))
    )
    contact = "Contact: <sip:127.0.0.1:6002>\r\n"
    yield ("180", f"SIP/2.0 180 Ringing\r\n{copied}To: {to}\r\n{contact}Content-Length: 0\r\n\r\n", CALLED)
    ok = f"SIP/2.0 200 OK\r\n{copied}To: {to}\r\n{contact}Content-Type: application/sdp\r\n"
    [answered] = yield ("200", f"{ok}Content-Length: {len(SDP)}\r\n\r\n{SDP}", CALLED)
    route = f"Route: {_header(answered, 'Record-Route')}\r\n"
    yield ("ACK", request("ACK", "sip:127.0.0.1:6002", 2, to, route), CALLING)
    if not is_ended:
        return
    [bye] = yield ("BYE", request("BYE", "sip:127.0.0.1:6002", 3, to, route), CALLING)
    vias = "".join(f"{line}\r\n" for line in bye.split("\r\n") if line.startswith("Via:"))
    done = (
        f"SIP/2.0 200 OK\r\n{vias}From: {_header(bye, 'From')}\r\nTo: {to}\r\n"
        f"Call-ID: {call_id}\r\nCSeq: 3 BYE\r\nContent-Length: 0\r\n\r\n"
    )
    [final] = yield ("200 of BYE", done, CALLED)
    assert final.startswith("SIP/2.0 200")


def _header(message: str, name: str) -> str:
    match = re.search(rf"^{name}: (.*)\r$", message, re.MULTILINE)
    assert match is not None, message
    return match[1]


def _credentials(header: str, challenge: str, number: str, method: str, uri: str) -> str:
    nonce = re.search(r'nonce="([^"]+)"', challenge)
    assert nonce is not None

    def md5(text: str) -> str:
        return hashlib.md5(text.encode()).hexdigest()

    ha1 = md5(f"{number}:{DOMAIN}:secret")
    response = md5(f"{ha1}:{nonce[1]}:00000001:abcd:auth:{md5(f'{method}:{uri}')}")
    return (
        f'{header}: Digest username="{number}",realm="{DOMAIN}",cnonce="abcd",nc=00000001,qop=auth,'
        f'uri="{uri}",nonce="{nonce[1]}",response="{response}",algorithm=MD5\r\n'
    )


def _print(bench: Bench, what: str, counts: Callable[[str], bool]) -> None:
    steps = {name: statistics.median(spent) / 1000 for name, spent in bench.step_ns.items() if counts(name)}
    print(f"CPU microseconds per {what}, {FORM}: {sum(steps.values()):.0f}")
    for name, spent in steps.items():
        print(f"  {name:<12} {spent:7.1f}")


if __name__ == "__main__":
    main()
