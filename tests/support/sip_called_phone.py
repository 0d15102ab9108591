"""A called phone by the book, which knows how long it talked: what a caller is to pay for."""

from collections.abc import Callable
from dataclasses import dataclass, field

from sip_proxy.core.message.message import Request
from tests.support.sip_phones import Exchange, callee_request

_GIVES_UP_S = 32.0  # RFC 3261 §13.3.1.4
_KNOWN_OPTIONS = frozenset({"timer", "100rel"})


@dataclass
class Talk:
    """A dialog of the phone, from its 200 until a BYE, its own or the other side's."""

    invite: Request
    tag: str
    started_at: float
    remote_cseq: int
    own_cseq: int = 1
    ended_at: float | None = None
    is_acknowledged: bool = False

    @property
    def key(self) -> tuple[str, str, str]:
        """What tells the dialog from others: Call-ID, own tag, tag of the other side (§12)."""
        return (self.invite.call_id, self.tag, self.invite.from_tag)

    def seconds(self, now: float) -> float:
        """How long it has lasted."""
        return (now if self.ended_at is None else self.ended_at) - self.started_at


@dataclass
class Ringing:
    """An INVITE that is served: a copy of it changes nothing."""

    invite: Request
    tag: str
    is_answered: bool = False


@dataclass
class Manners:
    """What its owner does with a call: seconds until he picks up, and until he hangs up (None: never)."""

    picks_up_after_s: float = 1.0
    hangs_up_after_s: float | None = None


@dataclass
class _Reminder:
    at: float
    do: Callable[[], None]


@dataclass
class CalledPhone:
    """Answers calls as RFC 3261 says: dialogs, CSeq order, 481, 500, 420, repeated 200s, CANCEL.

    What comes is read by `settle`; what it does by itself, such as repeating its 200, when `act` is called at
    the instant that `next_at` tells.
    """

    exchange: Exchange
    number: str
    manners: Manners = field(default_factory=Manners)
    talks: list[Talk] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.phone = self.exchange.phone(self.number)
        self._ringing: dict[str, Ringing] = {}
        self._dialogs: dict[tuple[str, str, str], Talk] = {}
        self._reminders: list[_Reminder] = []
        self._read = len(self.phone.inbox)

    def settle(self) -> bool:
        """Read what has come; tell whether there was anything."""
        unread = self.phone.inbox[self._read :]
        self._read += len(unread)
        for message in unread:
            if isinstance(message, Request):
                self.serve(message)
        return bool(unread)

    def next_at(self) -> float | None:
        """When it will do something by itself."""
        return min((each.at for each in self._reminders), default=None)

    def act(self) -> None:
        """Do what is due."""
        now = self.exchange.now
        due = [each for each in self._reminders if each.at <= now]
        self._reminders = [each for each in self._reminders if each.at > now]
        for each in due:
            each.do()

    def talked_s(self, tags: set[str]) -> float:
        """How long it has talked in the dialogs with these tags of its own."""
        return sum(talk.seconds(self.exchange.now) for talk in self.talks if talk.tag in tags)

    def serve(self, request: Request) -> None:
        """Take a request, whoever sent it: phones believe what is addressed to them."""
        if "unreadable" in request.keys:  # PJSIP drops what it can't read in full, without a word
            return
        options = {option.lower() for option in request.values("require")}
        if request.method == "ACK":
            talk = self._dialogs.get((request.call_id, request.to_tag, request.from_tag))
            if talk is not None:
                talk.is_acknowledged = True
                talk.remote_cseq = request.cseq  # as PJSIP
        elif request.method == "CANCEL":
            self._cancel(request)
        elif not options <= _KNOWN_OPTIONS:
            self.phone.answer(request, 420, tag=request.to_tag or "refused")
        elif request.to_tag:
            self._serve_in_dialog(request)
        elif request.method == "INVITE":
            self._ring(request)
        else:
            self.phone.answer(request, 200)

    def _serve_in_dialog(self, request: Request) -> None:
        talk = self._dialogs.get((request.call_id, request.to_tag, request.from_tag))
        if talk is None or talk.ended_at is not None:
            self.phone.answer(request, 481, tag=request.to_tag)
            return
        if request.cseq <= talk.remote_cseq:  # as PJSIP; §12.2.2 would let the same number pass
            self.phone.answer(request, 500, tag=request.to_tag)
            return
        talk.remote_cseq = request.cseq
        if request.method == "BYE":
            talk.ended_at = self.exchange.now
        self.phone.answer(request, 200, tag=request.to_tag)

    def _cancel(self, request: Request) -> None:
        ringing = self._ringing.get(self._branch(request))
        self.phone.answer(request, 481 if ringing is None else 200, tag="cancelled")
        if ringing is not None and not ringing.is_answered:
            ringing.is_answered = True
            self.phone.answer(ringing.invite, 487, tag=ringing.tag)

    def _ring(self, invite: Request) -> None:
        branch = self._branch(invite)
        if branch in self._ringing:
            return
        ringing = self._ringing[branch] = Ringing(invite, tag=f"called{len(self._ringing)}")
        self.phone.answer(invite, 180, tag=ringing.tag)
        self._remind(self.manners.picks_up_after_s, lambda: self._pick_up(ringing))

    def _pick_up(self, ringing: Ringing) -> None:
        if ringing.is_answered:
            return
        ringing.is_answered = True
        talk = Talk(ringing.invite, ringing.tag, self.exchange.now, ringing.invite.cseq)
        self._dialogs[talk.key] = talk
        self.talks.append(talk)
        self._repeat(talk, self.phone.answer(talk.invite, 200, tag=talk.tag), 0.5)
        if self.manners.hangs_up_after_s is not None:
            self._remind(self.manners.hangs_up_after_s, lambda: self._hang_up(talk))

    def _repeat(self, talk: Talk, answer: bytes, interval_s: float) -> None:
        """Send the 200 again and again until there is an ACK; without one hang up after 64*T1."""

        def again() -> None:
            if talk.is_acknowledged or talk.ended_at is not None:
                return
            if self.exchange.now - talk.started_at >= _GIVES_UP_S:
                self._hang_up(talk)
                return
            self.phone.send(answer)
            self._repeat(talk, answer, min(2 * interval_s, 4.0))

        self._remind(interval_s, again)

    def _hang_up(self, talk: Talk) -> None:
        if talk.ended_at is None:
            talk.ended_at = self.exchange.now
            bye = callee_request(self.phone, talk.invite, "BYE", cseq=talk.own_cseq, tag=talk.tag)
            self.phone.send(bye)

    def _remind(self, after_s: float, do: Callable[[], None]) -> None:
        self._reminders.append(_Reminder(self.exchange.now + after_s, do))

    def _branch(self, request: Request) -> str:
        assert request.via is not None
        return request.via.branch
