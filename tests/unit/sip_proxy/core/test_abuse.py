"""Abuse of the whole engine: guesses, searches for numbers, amplification (RFC 3261 §26.1, §26.3.2.4)."""

import itertools
import re

import pytest

from sip_proxy.core.authentication.sources import MOST_ASKED_FOR, MOST_FAILURES, SHORTEST_LOCKOUT_S, SILENCE_S
from sip_proxy.core.flow import Flow, Transport
from sip_proxy.core.message.message import Response
from sip_proxy.core.message.parser import parse_message
from sip_proxy.core.outputs import SecurityEventKind, Send
from tests.support.sip_calls import AnsweredCall
from tests.support.sip_phones import DOMAIN, EXCHANGE, Exchange, Phone, account, make_directory

_serial = itertools.count(1)


class Stranger:
    """Somebody at an address without a phone, who sends single requests."""

    def __init__(self, exchange: Exchange, host: str = "203.0.113.66") -> None:
        self.exchange = exchange
        self.flow = Flow(Transport.UDP, (host, 5060), EXCHANGE)

    def ask(
        self, method: str, number: str, *, uri: str = "", headers: tuple[str, ...] = (), tag: str = ""
    ) -> list[bytes]:
        """Send a request; return what is answered."""
        data = self.request(method, number, uri=uri, headers=headers, tag=tag)
        self.exchange.outputs.clear()
        self.exchange.receive(data, self.flow)
        return [output.data for output in self.exchange.outputs if isinstance(output, Send)]

    def request(
        self, method: str, number: str, *, uri: str = "", headers: tuple[str, ...] = (), tag: str = ""
    ) -> bytes:
        """As small as a request can be: that is what amplifies most."""
        serial = next(_serial)
        to = f"sip:{number}@{DOMAIN}"
        lines = [
            f"{method} {uri or (f'sip:{DOMAIN}' if method == 'REGISTER' else to)} SIP/2.0",
            f"Via: SIP/2.0/UDP {self.flow.remote[0]};branch=z9hG4bK{serial:06}",
            f"From: <sip:{number}@{DOMAIN}>;tag=1",
            f"To: <{to}>{tag}",
            f"Call-ID: {serial:06}",
            f"CSeq: 1 {method}",
            *headers,
        ]
        return "\r\n".join(lines).encode() + b"\r\n\r\n"

    def status(self, method: str, number: str, **more: tuple[str, ...]) -> int | None:
        """Send a request; return the status of the answer, None for silence."""
        answers = self.ask(method, number, **more)  # type: ignore[arg-type]
        if not answers:
            return None
        (answer,) = answers
        message = parse_message(answer)
        assert isinstance(message, Response)
        return message.status


def kinds(exchange: Exchange) -> list[SecurityEventKind]:
    return [event.kind for event in exchange.security_events]


def guess(phone: Phone, times: int = MOST_FAILURES) -> None:
    for _ in range(times):
        assert phone.register(password="guess").status == 401


def test_a_number_is_locked_out_where_somebody_guesses_and_the_phone_elsewhere_goes_on() -> None:
    exchange = Exchange()
    real = exchange.phone("0001")
    thief = exchange.phone("0001", register=False)
    guess(thief)

    assert kinds(exchange).count(SecurityEventKind.LOCKED_OUT) == 1
    assert thief.register().status == 401  # the right password, too late to be looked at
    assert real.register().status == 200
    called = real.invite("0002").last_response
    assert called is not None
    assert called.status == 480


def test_a_lockout_ends_by_itself() -> None:
    exchange = Exchange()
    phone = exchange.phone("0001", register=False)
    guess(phone)
    exchange.advance(SHORTEST_LOCKOUT_S + 1)

    assert phone.register().status == 200


def test_another_number_at_the_same_address_is_not_locked_out() -> None:
    exchange = Exchange()
    thief = exchange.phone("0001", register=False)
    guess(thief)
    neighbour = exchange.phone("0002", register=False)
    neighbour.flow = Flow(Transport.UDP, (thief.address[0], 5070), EXCHANGE)
    neighbour.address = (thief.address[0], 5070)
    neighbour.sent_by = f"{thief.address[0]}:5070"
    exchange.phones[neighbour.key] = neighbour

    assert neighbour.register().status == 200


def test_challenges_and_stale_nonces_never_lock_a_phone_out() -> None:
    exchange = Exchange()
    phone = exchange.phone("0001")
    for _ in range(5 * MOST_FAILURES):
        exchange.advance(400.0)  # longer than a nonce is good for
        assert phone.register().status == 200

    assert exchange.security_events == []


def test_guesses_with_a_forged_source_do_not_lock_the_phone_out_that_is_there() -> None:
    """A nonce is good only where it was sent, so the forger's guesses are stale and count for nothing."""
    exchange = Exchange()
    victim = exchange.phone("0001")
    forger = exchange.phone("0001", register=False)
    forger.register(password="guess")
    challenge = forger.responses("REGISTER")[-1]
    uri = f"sip:{DOMAIN}"
    for count in range(1, 3 * MOST_FAILURES):
        line = forger.credentials(challenge, "REGISTER", uri, password="guess", nonce_count=count)
        request = forger.build(
            "REGISTER",
            uri,
            to=f"<sip:0001@{DOMAIN}>",
            call_id="forged",
            from_tag="f",
            cseq=count,
            headers=(line,),
        )
        exchange.receive(request, victim.flow)

    assert victim.register().status == 200
    assert SecurityEventKind.LOCKED_OUT not in kinds(exchange)


@pytest.mark.parametrize("method", ["REGISTER", "INVITE", "MESSAGE", "SUBSCRIBE", "OPTIONS", "PUBLISH"])
def test_numbers_that_exist_and_those_that_do_not_are_answered_alike_before_authentication(
    method: str,
) -> None:
    exchange = Exchange()
    exchange.phone("0001")
    stranger = Stranger(exchange)

    def answer(number: str, headers: tuple[str, ...] = ()) -> str:
        (data,) = stranger.ask(method, number, headers=headers)
        text = re.sub(r'nonce="[^"]*"|tag=[0-9a-f]{16}|branch=\w+|Call-ID: \d+', "", data.decode())
        return text.replace(f"sip:{number}@", "sip:NUMBER@")

    wrong = (
        f'Authorization: Digest username="NUMBER", realm="{DOMAIN}", nonce="x", uri="sip:x", response="y", '
        "algorithm=MD5, cnonce=c, qop=auth, nc=00000001"
    )
    if method != "REGISTER":
        wrong = f"Proxy-{wrong}"
    assert answer("0001") == answer("0003") == answer("9999")
    assert answer("0001", (wrong.replace("NUMBER", "0001"),)) == answer(
        "9999", (wrong.replace("NUMBER", "9999"),)
    )


def test_a_wrong_password_and_an_unknown_number_are_answered_alike() -> None:
    exchange = Exchange()
    answers = []
    for number in ("0001", "9999"):
        phone = exchange.phone(number, register=False)
        assert phone.register(password="guess").status == 401
        lines = phone.responses("REGISTER")[-1].line_values("www-authenticate")
        answers.append([re.sub(r'nonce="[^"]*"', "", line) for line in lines])

    assert answers[0] == answers[1]


@pytest.mark.parametrize("method", ["REGISTER", "INVITE", "OPTIONS"])
def test_who_tries_numbers_one_after_the_other_hears_nothing_more(method: str) -> None:
    exchange = Exchange()
    stranger = Stranger(exchange)
    statuses = [stranger.status(method, f"77{number}") for number in range(2 * MOST_ASKED_FOR)]

    challenged = statuses.index(None)
    assert statuses == [401 if method == "REGISTER" else 407] * challenged + [None] * (
        len(statuses) - challenged
    )
    assert challenged >= MOST_ASKED_FOR - 1
    assert stranger.status("REGISTER", "0001") is None
    assert stranger.status("OPTIONS", "x", uri=f"sip:{DOMAIN}") is None  # type: ignore[arg-type]
    assert Stranger(exchange, "203.0.113.67").status("REGISTER", "0001") == 401
    exchange.advance(SILENCE_S + 1)
    assert stranger.status("REGISTER", "0001") == 401


def test_silence_does_not_tell_which_numbers_exist() -> None:
    """Else: ask for numbers that surely don't, then for one that may; who is silenced by it knows."""
    heard = []
    for is_known in (True, False):
        numbers = [f"{number:04}" for number in range(2 * MOST_ASKED_FOR)]
        exchange = Exchange(directory=make_directory(*map(account, numbers))) if is_known else Exchange()
        stranger = Stranger(exchange)
        heard.append([stranger.status("REGISTER", number) for number in numbers])

    assert heard[0] == heard[1]


def test_a_call_can_be_ended_from_where_somebody_was_silenced() -> None:
    """Else it would go on, and cost, because of a neighbour behind the same address."""
    call = AnsweredCall()
    stranger = Stranger(call.exchange)
    while stranger.status("REGISTER", f"77{next(_serial)}") is not None:
        pass
    call.exchange.receive(call.attempt.in_dialog("BYE"), stranger.flow)
    assert len(call.exchange.records) == 1
    assert stranger.ask("BYE", "0001", tag=";tag=2") == []


def test_a_house_where_a_phone_is_registered_is_not_silenced() -> None:
    exchange = Exchange()
    phone = exchange.phone("0001")
    neighbour = Stranger(exchange, phone.address[0])
    neighbour.flow = Flow(Transport.UDP, (phone.address[0], 5099), EXCHANGE)
    for number in range(2 * MOST_ASKED_FOR):
        assert neighbour.status("REGISTER", f"77{number}") == 401


def test_nor_is_it_after_a_restart_before_its_phones_have_spoken_again() -> None:
    """Forged sources could silence it then, and it could never prove itself."""
    exchange = Exchange()
    phone = exchange.phone("0001")
    exchange.restart()
    neighbour = Stranger(exchange, phone.address[0])
    neighbour.flow = Flow(Transport.UDP, (phone.address[0], 5099), EXCHANGE)
    for number in range(2 * MOST_ASKED_FOR):
        neighbour.status("REGISTER", f"77{number}")
    assert phone.register(call_id="again").status == 200


@pytest.mark.parametrize(
    "user_agent", ["friendly-scanner", "sipvicious/0.3", "sundayddr", "SIP-scan 1", "sipcli/v1.8"]
)
@pytest.mark.parametrize("method", ["OPTIONS", "REGISTER", "INVITE"])
def test_tools_of_attackers_get_no_answer_and_one_line(user_agent: str, method: str) -> None:
    exchange = Exchange()
    stranger = Stranger(exchange)
    header = (f"User-Agent: {user_agent}",)
    events = []
    for _ in range(5):
        assert stranger.status(method, "0001", headers=header) is None
        events += kinds(exchange)

    assert events == [SecurityEventKind.SCANNER]
    assert stranger.status(method, "0001") is not None  # the name is not held against the address


@pytest.mark.parametrize("method", ["REGISTER", "INVITE", "OPTIONS", "MESSAGE", "BYE", "CANCEL", "FOO"])
@pytest.mark.parametrize("tag", ["", ";tag=2"])
def test_a_stranger_gets_one_answer_at_most_and_never_one_much_larger_than_the_request(
    method: str, tag: str
) -> None:
    """The source may be forged: who is to be flooded gets no more from us than a small factor of it."""
    exchange = Exchange()
    stranger = Stranger(exchange)
    for number, uri in (("0001", ""), ("9999", ""), ("0001", f"sip:{DOMAIN}"), ("0001", "sip:x@example.com")):
        request = stranger.request(method, number, uri=uri, tag=tag)
        exchange.outputs.clear()
        exchange.receive(request, stranger.flow)
        exchange.advance(64.0)  # nothing is sent again, either
        answers = [output.data for output in exchange.outputs if isinstance(output, Send)]

        assert len(answers) <= 1
        assert sum(map(len, answers)) <= 3 * len(request)


def test_a_broken_request_is_not_amplified() -> None:
    exchange = Exchange()
    stranger = Stranger(exchange)
    for cut in range(20, 200, 10):
        request = stranger.request("INVITE", "0001")[:cut]
        exchange.outputs.clear()
        exchange.receive(request, stranger.flow)
        answers = [output.data for output in exchange.outputs if isinstance(output, Send)]

        assert sum(map(len, answers)) <= 2 * len(request) + 100
