"""A state machine of phones that call, and of everybody who sends nonsense in between.

However messages are damaged, replayed and interleaved, whatever connections break and whenever the process
dies: the engine raises nothing, sends well-formed messages to those only who take part, and keeps nothing
afterwards.
"""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from sip_proxy.core.flow import Flow, Transport
from sip_proxy.core.message.framing import FramingError, FramingErrorKind
from tests.support.examples import examples
from tests.support.mangling import EDITS, Edit, mangle
from tests.support.sip_phones import EXCHANGE, Attempt, Exchange, Phone
from tests.support.strangers import check_sends, let_the_dust_settle
from tests.support.torture import MESSAGES

TORTURE = [path.read_bytes() for path in sorted(MESSAGES.glob("*/*.sip"))]
STRANGERS = [
    Flow(Transport.UDP, ("203.0.113.66", 5060), EXCHANGE),
    Flow(Transport.UDP, ("2001:db8::66", 5060), ("2001:db8::1", 5060)),
    Flow(Transport.TCP, ("203.0.113.67", 40001), EXCHANGE, 901),
    Flow(Transport.WS, ("203.0.113.68", 40002), EXCHANGE, 902),
]
PHONES = st.integers(0, 3)
STATUSES = [180, 183, 200, 200, 302, 404, 486, 487, 503, 603]


class EngineUnderFire(RuleBasedStateMachine):
    """Four phones of three numbers, and strangers."""

    def __init__(self) -> None:
        super().__init__()
        self.exchange = Exchange()
        self.phones: list[Phone] = [
            self.exchange.phone("0001"),
            self.exchange.phone("0002"),
            self.exchange.phone("0002", transport=Transport.TCP),
            self.exchange.phone("0003", transport=Transport.TLS),
        ]
        self.attempts: list[Attempt] = []
        self.known = {phone.address[0] for phone in self.phones}
        self.known |= {flow.remote[0] for flow in STRANGERS}

    def sent(self) -> list[bytes]:
        """Everything that a phone has sent so far."""
        return [data for phone in self.phones for data in phone.sent]

    def without_phones(self, data: bytes, flow: Flow) -> None:
        """Send something whose answers no phone would understand."""
        phones, self.exchange.phones = self.exchange.phones, {}
        self.exchange.receive(data, flow)
        self.exchange.phones = phones

    @rule(caller=PHONES, callee=st.sampled_from(["0001", "0002", "0003", "7777"]))
    def call(self, caller: int, callee: str) -> None:
        self.attempts.append(self.phones[caller].invite(callee))

    @rule(caller=PHONES, method=st.sampled_from(["MESSAGE", "SUBSCRIBE", "OPTIONS", "REFER", "PUBLISH"]))
    def send_another_request(self, caller: int, method: str) -> None:
        self.phones[caller].invite("0002", method=method, body=b"")

    @rule(index=PHONES, status=st.sampled_from(STATUSES))
    def answer(self, index: int, status: int) -> None:
        phone = self.phones[index]
        requests = [each for each in phone.inbox if hasattr(each, "uri") and each.method != "ACK"]
        if requests:
            phone.answer(requests[-1], status)  # type: ignore[arg-type]

    @precondition(lambda self: self.attempts)
    @rule(which=st.integers(0, 9), how=st.sampled_from(["ACK", "BYE", "CANCEL", "INFO", "again"]))
    def go_on(self, which: int, how: str) -> None:
        attempt = self.attempts[which % len(self.attempts)]
        if how == "again":
            attempt.send_again()
        elif how == "CANCEL":
            attempt.cancel()
        elif any(response.status < 300 and response.to_tag for response in attempt.responses):
            cseq = attempt.cseq if how == "ACK" else attempt.cseq + 1
            attempt.phone.send(attempt.in_dialog(how, cseq=cseq))

    @rule(sender=PHONES, which=st.integers(0, 999), edits=EDITS)
    def a_phone_sends_damaged_goods(self, sender: int, which: int, edits: list[Edit]) -> None:
        messages = self.sent()
        self.without_phones(mangle(messages[which % len(messages)], edits), self.phones[sender].flow)

    @rule(sender=st.sampled_from(STRANGERS), which=st.integers(0, 999), edits=EDITS, torture=st.booleans())
    def a_stranger_sends(self, sender: Flow, which: int, edits: list[Edit], torture: bool) -> None:
        messages = TORTURE if torture else self.sent()
        self.without_phones(mangle(messages[which % len(messages)], edits), sender)

    @rule(
        sender=st.sampled_from(STRANGERS[2:]),
        which=st.integers(0, 999),
        kind=st.sampled_from(FramingErrorKind),
    )
    def a_stream_breaks(self, sender: Flow, which: int, kind: FramingErrorKind) -> None:
        head = TORTURE[which % len(TORTURE)][:700]
        error = FramingError(kind, status=400, head=head)
        self.exchange.engine.framing_failed(error, sender, self.exchange.now)
        phones, self.exchange.phones = self.exchange.phones, {}
        self.exchange.deliver()
        self.exchange.phones = phones

    @rule(index=st.integers(2, 3))
    def a_connection_closes(self, index: int) -> None:
        self.exchange.engine.flow_closed(self.phones[index].flow, self.exchange.now)
        self.exchange.deliver()

    @rule(index=PHONES, contact=st.sampled_from(["", "*", "outbound"]))
    def register(self, index: int, contact: str) -> None:
        phone = self.phones[index]
        if contact == "*":
            phone.register(contacts=("*",), headers=("Expires: 0",))
        elif contact == "outbound":
            value = f'<{phone.contact}>;reg-id=1;+sip.instance="<urn:x:{index}>"'
            phone.register(contacts=(value,), headers=("Supported: outbound, path",))
        else:
            phone.register()

    @rule(index=PHONES)
    def a_destination_is_unreachable(self, index: int) -> None:
        if self.exchange.sends_to(self.phones[index]):
            self.exchange.unable_to_send(self.phones[index])

    @rule(seconds=st.sampled_from([0.5, 5, 40]))
    def wait(self, seconds: float) -> None:
        self.exchange.advance(seconds)

    @rule()
    def kill_minus_nine(self) -> None:
        self.exchange.restart()

    @invariant()
    def what_was_sent_is_right(self) -> None:
        check_sends(self.exchange, self.known)

    def teardown(self) -> None:
        self.exchange.phones = {}
        let_the_dust_settle(self.exchange)
        check_sends(self.exchange, self.known)


EngineUnderFire.TestCase.settings = settings(max_examples=examples(60), stateful_step_count=30)
TestTheEngineUnderFire = EngineUnderFire.TestCase
