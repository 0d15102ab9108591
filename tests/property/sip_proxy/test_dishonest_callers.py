"""Whatever a caller and his friends send, what the called phone talks is billed, and nothing else.

The called phone goes by the book and knows how long it talked (`tests/support/sip_called_phone.py`). The
caller has two phones and an accomplice. They know the tags and addresses of a call, and the password of 0001.
They send requests in their own and in the other's name, in and out of order, with routes and demands of their
own making, and again, by way of the exchange or straight to the called phone; they answer questions, deny the
call or keep silent. Now and then the exchange is killed.
"""

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from sip_proxy.core.flow import Transport
from sip_proxy.core.message.message import Request, Response
from sip_proxy.core.message.parser import parse_message
from tests.support.examples import examples
from tests.support.sip_called_phone import CalledPhone, Manners, Talk
from tests.support.sip_phones import DOMAIN, WALL_OFFSET, Attempt, Exchange, Phone

ANY = st.integers(0, 10_000)
# A call that ends because a phone is gone, or its session ran out, ends with the last sign of the called one,
# which is asked for one four seconds before.
UNPROVED_S = 4.1
WAYS = st.sampled_from([Transport.UDP, Transport.TCP])
CSEQS = st.sampled_from([0, 1, 2, 3, 50, 1000, 2**31 - 20_000, 2**31 - 10_001, 2**31 - 1])
METHODS = st.sampled_from(
    ["BYE", "BYE", "BYE", "ACK", "INVITE", "UPDATE", "INFO", "MESSAGE", "NOTIFY", "REFER"]
)
CALL_HEADERS = st.sampled_from(
    [
        (),
        (),
        ("Session-Expires: 90;refresher=uas", "Supported: timer"),
        ("Record-Route: <sip:198.51.0.9:5060;lr>",),
        ("Require: nonsense",),
    ]
)
ODDITIES = st.lists(
    st.sampled_from(
        [
            "Route: <sip:192.0.2.1:5060;lr>",
            "Route: <sip:203.0.113.9;lr>",
            "Require: nonsense",
            "Proxy-Require: nonsense",
            "Via: SIP/2.0/UDP 10.0.0.9;branch=z9hG4bKelsewhere",
            "Max-Forwards: 0",
            "Unreadable: {",
        ]
    ),
    max_size=2,
    unique=True,
)
PLACES = st.sampled_from(
    [
        "called",
        "called",
        "called",
        "caller",
        "sip:192.0.2.1:5060;lr",
        f"sip:0002@{DOMAIN}",
        "sip:x@203.0.113.1",
    ]
)


class DishonestCallers(RuleBasedStateMachine):
    """A caller (0001) with two phones, his accomplice (0003), and the phone that he calls (0002)."""

    @initialize(
        ways=st.tuples(WAYS, WAYS),
        second_is_registered=st.booleans(),
        denies=st.sampled_from([False, False, True, None]),
        picks_up_after_s=st.sampled_from([0.0, 0.01, 1.0, 3.0]),
        hangs_up_after_s=st.sampled_from([None, None, 5.0, 100.0, 300.0]),
    )
    def begin(
        self,
        ways: tuple[Transport, Transport],
        second_is_registered: bool,
        denies: bool | None,
        picks_up_after_s: float,
        hangs_up_after_s: float | None,
    ) -> None:
        """`denies`: the caller's phones answer the question for a sign of life by 481; None: not at all."""
        self.exchange = Exchange()
        self.caller = self.exchange.phone("0001", transport=ways[0])
        self.second = self.exchange.phone("0001", transport=ways[1], register=second_is_registered)
        self.accomplice = self.exchange.phone("0003")
        self.friends = [self.caller, self.second, self.accomplice]
        self.denies = denies
        self.called = CalledPhone(self.exchange, "0002", Manners(picks_up_after_s, hangs_up_after_s))
        self.attempts: list[Attempt] = []

    # Time, and the called phone.

    def settle(self) -> None:
        """Let everybody read what has come, until nothing comes any more."""
        while self.answer_questions() or self.called.settle():
            pass

    def answer_questions(self) -> bool:
        answered = False
        for phone in self.friends:
            for question in phone.requests("INFO"):
                phone.inbox.remove(question)
                if self.denies is not None:
                    phone.answer(question, 481 if self.denies else 200, tag=question.to_tag or "own")
                    answered = True
        return answered

    @rule(seconds=st.sampled_from([0.02, 1.0, 10.0, 33.0, 70.0, 200.0, 400.0]))
    def wait(self, seconds: float) -> None:
        end = self.exchange.now + seconds
        self.settle()
        while self.exchange.now < end:
            instants = (self.called.next_at(), self.exchange.engine.next_deadline(), end)
            until = min(instant for instant in instants if instant is not None)
            self.exchange.advance(max(0.0, min(until, end) - self.exchange.now))
            self.called.act()
            self.settle()

    @precondition(lambda self: self.denies is False)
    @rule()
    def kill(self) -> None:
        """Who is silent after a restart may have hung up meanwhile, and pays for less: so none is here."""
        self.exchange.restart()
        self.settle()

    # What the caller and his friends do.

    def attempt(self, which: int) -> Attempt:
        return self.attempts[which % len(self.attempts)]

    def talk_of(self, attempt: Attempt) -> Talk | None:
        return next((each for each in self.called.talks if each.invite.call_id == attempt.call_id), None)

    def send(self, phone: Phone, data: bytes) -> None:
        phone.send(data)
        self.settle()

    @rule(
        phone=st.integers(0, 1),
        callee=st.sampled_from(["0002", "0002", "0002", "0001", "0003"]),
        call_id=st.sampled_from(["", "one", "two"]),
        headers=CALL_HEADERS,
        progress=st.integers(0, 2),
    )
    def call(self, phone: int, callee: str, call_id: str, headers: tuple[str, ...], progress: int) -> None:
        """Also with the Call-ID of a call that is there; and go on with it to the answer, and to the ACK."""
        attempt = self.friends[phone].invite(callee, call_id=call_id, headers=headers)
        self.attempts.append(attempt)
        self.settle()
        if progress and callee == "0002":
            self.wait(self.called.manners.picks_up_after_s)
            if progress > 1 and 200 in attempt.statuses:
                self.send(attempt.phone, attempt.in_dialog("ACK"))

    @precondition(lambda self: self.attempts)
    @rule(which=ANY, later=st.sampled_from([0, 0, 0, 1]))
    def acknowledge(self, which: int, later: int) -> None:
        attempt = self.attempt(which)
        self.send(attempt.phone, self.written("ACK", attempt, attempt.phone, cseq=attempt.cseq + later))

    @precondition(lambda self: self.attempts)
    @rule(
        which=ANY,
        phone=st.integers(0, 2),
        method=METHODS,
        is_forged=st.booleans(),
        later=CSEQS,
        place=PLACES,
        oddities=ODDITIES,
        proves=st.booleans(),
    )
    def send_in_dialog(
        self,
        which: int,
        phone: int,
        method: str,
        is_forged: bool,
        later: int,
        place: str,
        oddities: list[str],
        proves: bool,
    ) -> None:
        """From any phone; `is_forged`: in the name of the called one; `proves`: with a password, if asked."""
        attempt, sender = self.attempt(which), self.friends[phone]
        cseq = min(attempt.cseq + later, 2**31 - 1)
        uri = {"called": self.called.phone.contact, "caller": self.caller.contact}.get(place, place)
        before = len(sender.responses(method))
        data = self.written(
            method, attempt, sender, cseq=cseq, uri=uri, is_forged=is_forged, oddities=oddities
        )
        self.send(sender, data)
        asked = [each for each in sender.responses(method)[before:] if each.status == 407]
        if proves and asked:
            line = sender.credentials(asked[-1], method, uri)
            data = self.written(
                method, attempt, sender, cseq=min(cseq + 1, 2**31 - 1), uri=uri, is_forged=is_forged,
                oddities=[*oddities, line],
            )  # fmt: skip
            self.send(sender, data)

    @precondition(lambda self: self.attempts)
    @rule(
        which=ANY,
        method=st.sampled_from(["INFO", "UPDATE", "INVITE"]),
        later=st.sampled_from([0, 1, 2000, 2**31 - 20_000]),
    )
    def write_to_the_called_phone(self, which: int, method: str, later: int) -> None:
        """Straight to its address. It takes it, and nobody takes its answer."""
        attempt = self.attempt(which)
        message = parse_message(self.written(method, attempt, attempt.phone, cseq=attempt.cseq + later))
        message.check()
        assert isinstance(message, Request)
        self.called.serve(message)
        self.settle()

    @precondition(lambda self: self.attempts)
    @rule(which=ANY)
    def cancel(self, which: int) -> None:
        self.attempt(which).cancel()
        self.settle()

    @precondition(lambda self: self.attempts)
    @rule(phone=st.integers(0, 2), which=ANY)
    def repeat(self, phone: int, which: int) -> None:
        sender = self.friends[phone]
        if sender.sent:
            self.send(sender, sender.sent[which % len(sender.sent)])

    @precondition(lambda self: self.attempts)
    @rule(
        which=ANY, status=st.sampled_from([200, 200, 183, 486]), tag=st.sampled_from(["theirs", "mine", "x"])
    )
    def friends_answer_calls(self, which: int, status: int, tag: str) -> None:
        """With any tag, also those of another call."""
        attempt = self.attempt(which)
        talk = self.talk_of(attempt)
        tags = {"theirs": "y" if talk is None else talk.tag, "mine": attempt.from_tag}
        self.answer("INVITE", status, tags.get(tag, tag))

    @precondition(lambda self: self.attempts)
    @rule(status=st.sampled_from([200, 200, 481, 407, 500]))
    def friends_answer_byes(self, status: int) -> None:
        self.answer("BYE", status, "z")

    def answer(self, method: str, status: int, tag: str) -> None:
        for phone in self.friends:
            for request in phone.requests(method):
                phone.inbox.remove(request)
                phone.answer(request, status, tag=request.to_tag or tag)
        self.settle()

    def written(
        self,
        method: str,
        attempt: Attempt,
        sender: Phone,
        *,
        cseq: int,
        uri: str = "",
        is_forged: bool = False,
        oddities: list[str] | None = None,
    ) -> bytes:
        """Write a request in the dialog of an attempt with the called phone, whoever sends it."""
        talk = self.talk_of(attempt)
        here = f'"Phone" <sip:0001@{DOMAIN}>;tag={attempt.from_tag}'
        there = f"<{attempt.uri}>;tag={'none' if talk is None else talk.tag}"
        odd = oddities or []
        vias = [sender.via(sender.new_branch()), *(line for line in odd if line.startswith("Via"))]
        others = [line for line in odd if not line.startswith("Via")]
        if not any(line.startswith("Max-Forwards") for line in others):
            others.append("Max-Forwards: 70")
        lines = [
            f"{method} {uri or self.called.phone.contact} SIP/2.0",
            *vias,
            f"From: {there if is_forged else here}",
            f"To: {here if is_forged else there}",
            f"Call-ID: {attempt.call_id}",
            f"CSeq: {cseq} {method}",
            f"Contact: <{sender.contact}>",
            *others,
            "Content-Length: 0",
        ]
        return ("\r\n".join(lines) + "\r\n\r\n").encode()

    # What must hold.

    def teardown(self) -> None:
        """What the called phone talked with somebody who heard it is what is billed, to the second."""
        if not hasattr(self, "exchange"):
            return
        self.wait(40.0)
        exchange = self.exchange
        heard = {
            message.to_tag
            for phone in self.friends
            for message in phone.inbox
            if isinstance(message, Response) and (message.status, message.cseq_method) == (200, "INVITE")
        }
        talked_s = self.called.talked_s(heard)
        billed_s = sum(each.duration_us / 1e6 for each in exchange.records if each.callee == "0002")
        billed_s += sum(
            exchange.now + WALL_OFFSET - live.answered_at
            for live in exchange.engine.live_calls()
            if live.callee == "0002" and live.answered_at is not None
        )
        assert billed_s == pytest.approx(talked_s, abs=UNPROVED_S * max(1, len(self.called.talks)))


DishonestCallers.TestCase.settings = settings(
    max_examples=examples(60), stateful_step_count=25, deadline=None
)
TestDishonestCallers = DishonestCallers.TestCase
