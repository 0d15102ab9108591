"""One honest phone on a UDP socket of its own: a user agent that can be in many calls at once."""

import asyncio
from collections.abc import Coroutine, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from tests.support.honest_phones.attempt import Attempt, DialogNotes, Hangup
from tests.support.honest_phones.message import (
    Message,
    credentials,
    new_branch,
    new_tag,
    write_request,
    write_response,
)
from tests.support.honest_phones.timers import Timers, wait_for
from tests.support.honest_phones.transactions import ClientTransaction

# Each restart of the exchange may make the nonce stale once more.
_MOST_CHALLENGES = 5


@dataclass(slots=True)
class _Leg:
    """This phone's side of a dialog (RFC 3261 §12)."""

    attempt: Attempt
    notes: DialogNotes
    call_id: str
    own: str  # our From value, tag and all
    peer: str
    target: str
    routes: tuple[str, ...]
    cseq: int
    over: asyncio.Event = field(default_factory=asyncio.Event)
    acknowledged: asyncio.Event = field(default_factory=asyncio.Event)


@dataclass(slots=True)
class _Ringing:
    """A call that comes in and has no final response yet."""

    invite: Message
    tag: str
    cancelled: asyncio.Event = field(default_factory=asyncio.Event)
    acknowledged: asyncio.Event = field(default_factory=asyncio.Event)


class HonestPhone(asyncio.DatagramProtocol):
    """A phone. All methods run on the event loop of its crowd."""

    def __init__(
        self,
        number: str,
        password: str,
        *,
        server: tuple[str, int],
        domain: str,
        timers: Timers,
        attempts: Mapping[str, Attempt],
    ) -> None:
        self.number = number
        self._password = password
        self._server = server
        self._domain = domain
        self._timers = timers
        self._attempts = attempts
        self._address = ""
        self._transport: asyncio.DatagramTransport | None = None
        self._clients: dict[tuple[str, str], ClientTransaction] = {}
        self._responses: dict[tuple[str, str], bytes] = {}
        self._ringing: dict[str, _Ringing] = {}
        self._legs: dict[tuple[str, str], _Leg] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self.unexpected: list[BaseException] = []

    # -- the socket --

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.DatagramTransport, transport)
        host, port = transport.get_extra_info("sockname")
        self._address = f"{host}:{port}"

    def datagram_received(self, data: bytes, address: tuple[str | Any, int]) -> None:
        if not data.strip():
            return  # it keeps our NAT open
        message = Message.read(data)
        if message.is_response:
            self._take_response(message)
        else:
            self._take_request(message)

    def error_received(self, error: Exception) -> None:
        """Nobody listens there at present, as when the exchange was killed: retransmissions are for that."""

    def close(self) -> None:
        """Stop everything."""
        for task in self._tasks:
            task.cancel()
        if self._transport is not None:
            self._transport.close()

    def lose_power(self) -> None:
        """Fall silent in the middle of everything: nothing is sent, nothing is answered."""
        self.close()

    @property
    def contact(self) -> str:
        return f"sip:{self.number}@{self._address}"

    def _send(self, data: bytes) -> None:
        assert self._transport is not None
        if not self._transport.is_closing():
            self._transport.sendto(data, self._server)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._finished)

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self.unexpected.append(error)

    async def _transact(self, method: str, uri: str, **fields: Any) -> Message | None:
        branch = new_branch()
        request = write_request(method, uri, address=self._address, branch=branch, **fields)
        client = self._clients[branch, method] = ClientTransaction(request, method, self._send, self._timers)
        return await client.run()

    # -- registration --

    async def register(self, expires_s: int = 600) -> None:
        """Register. Raises AssertionError when that fails."""
        uri = f"sip:{self._domain}"
        own = f"<sip:{self.number}@{self._domain}>"
        headers: tuple[str, ...] = (f"Contact: <{self.contact}>", f"Expires: {expires_s}")
        call_id, tag = f"register-{self.number}-{new_tag()}", new_tag()
        answer: Message | None = None
        more: tuple[str, ...] = ()
        for cseq in range(1, _MOST_CHALLENGES):
            answer = await self._transact(
                "REGISTER",
                uri,
                from_=f"{own};tag={tag}",
                to=own,
                call_id=call_id,
                cseq=cseq,
                headers=(*headers, *more),
            )
            if answer is None or answer.status != 401:
                break
            more = (
                credentials(answer, method="REGISTER", uri=uri, number=self.number, password=self._password),
            )
        assert answer is not None, f"{self.number} can't register: no answer"
        assert answer.status == 200, answer

    # -- calling --

    def begin(self, attempt: Attempt) -> None:
        """Make a call and go on without waiting."""
        self._spawn(self.call(attempt))

    async def rest(self) -> None:
        """Wait until this phone has nothing to do any more."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    async def call(self, attempt: Attempt) -> None:
        """Make a call as its plan says, and see it through to its end."""
        try:
            uri = f"sip:{attempt.callee}@{self._domain}"
            own = f"<sip:{self.number}@{self._domain}>;tag={new_tag()}"
            challenge: Message | None = None
            for cseq in range(1, _MOST_CHALLENGES):
                final = await self._invite(attempt, uri, own, cseq, challenge)
                if final is None:
                    return
                if final.status != 407:
                    break
                challenge = final
            assert final is not None
            if final.status < 300:
                await self._talk(attempt, final, own, cseq)
            else:
                attempt.refused = final.status
        finally:
            attempt.over.set()

    async def _invite(
        self, attempt: Attempt, uri: str, own: str, cseq: int, challenge: Message | None
    ) -> Message | None:
        branch = new_branch()
        headers: tuple[str, ...] = (f"Contact: <{self.contact}>",)
        if challenge is not None:
            answer = credentials(
                challenge, method="INVITE", uri=uri, number=self.number, password=self._password
            )
            headers = (*headers, answer)
        fields: dict[str, Any] = {
            "address": self._address,
            "branch": branch,
            "from_": own,
            "to": f"<{uri}>",
            "call_id": attempt.call_id,
            "cseq": cseq,
        }
        request = write_request("INVITE", uri, headers=headers, **fields)
        client = ClientTransaction(request, "INVITE", self._send, self._timers)
        self._clients[branch, "INVITE"] = client
        final = await client.run(attempt.plan.patience_s)
        if final is None and client.responded.is_set():
            # Enough of waiting. It may still be answered before the CANCEL gets there (§9.1).
            cancel = write_request("CANCEL", uri, **fields)
            cancelling = ClientTransaction(cancel, "CANCEL", self._send, self._timers)
            self._clients[branch, "CANCEL"] = cancelling
            await cancelling.run()
            final = await client.wait_for_final()
        attempt.admitted |= challenge is not None and client.responded.is_set() and not _is_challenge(final)
        if final is None:
            client.on_late_answer = lambda answer: self._spawn(
                self._talk(attempt, answer, own, cseq, talk_s=0)
            )
        elif final.status >= 300:
            fields["to"] = final.value("to")
            ack = write_request("ACK", uri, **fields)
            client.acks[final.tag("to")] = ack
            self._send(ack)
        return final

    async def _talk(
        self, attempt: Attempt, answer: Message, own: str, cseq: int, talk_s: float | None = None
    ) -> None:
        """Acknowledge an answer, and hang up after `talk_s` (None: as planned)."""
        notes = attempt.notes(answer.tag("to"))
        notes.note_answer_heard(asyncio.get_running_loop().time())
        leg = _Leg(
            attempt=attempt,
            notes=notes,
            call_id=attempt.call_id,
            own=own,
            peer=answer.value("to"),
            target=answer.contact(),
            routes=tuple(reversed(answer.routes())),
            cseq=cseq,
        )
        self._legs[attempt.call_id, answer.value("from").rpartition("tag=")[2]] = leg
        ack = self._in_dialog(leg, "ACK", new_branch(), cseq)
        self._clients[answer.branch, "INVITE"].acks[answer.tag("to")] = ack
        self._send(ack)
        longest_s = attempt.plan.talk_s if talk_s is None else talk_s
        if talk_s is None and attempt.plan.hangs_up is Hangup.CALLEE:
            # Should its BYE never come, this side notices in the end that nobody is there.
            longest_s += 2 * self._timers.give_up_s
        await wait_for(leg.over, longest_s)
        await self._hang_up(leg)

    def _take_response(self, response: Message) -> None:
        client = self._clients.get((response.branch, response.method))
        if client is not None:
            client.receive(response)

    # -- being called --

    def _take_request(self, request: Message) -> None:
        key = (request.branch, request.method)
        if key in self._responses:
            self._send(self._responses[key])  # §17.2: a copy gets the same response
        elif request.method == "INVITE":
            self._be_called(request)
        elif request.method == "ACK":
            self._take_ack(request)
        elif request.method == "CANCEL":
            self._take_cancel(request)
        elif request.method == "BYE":
            self._take_bye(request)
        elif request.method == "INFO":
            leg = self._leg_of(request)
            is_live = leg is not None and not leg.over.is_set()
            self._respond(request, *((200, "OK") if is_live else (481, "Call Does Not Exist")))
        else:
            self._respond(request, 501, "Not Implemented")

    def _respond(self, request: Message, status: int, reason: str, **more: str) -> None:
        data = write_response(request, status, reason, **more)
        self._responses[request.branch, request.method] = data
        self._send(data)

    def _be_called(self, invite: Message) -> None:
        attempt = self._attempts.get(invite.value("call-id"))
        if attempt is None or invite.tag("to"):
            self._respond(invite, 481, "Call Does Not Exist")
            return
        ringing = self._ringing[invite.branch] = _Ringing(invite, new_tag())
        self._respond(invite, 180, "Ringing", tag=ringing.tag, contact=self.contact)
        self._spawn(self._ring(attempt, ringing))

    async def _ring(self, attempt: Attempt, ringing: _Ringing) -> None:
        invite, tag = ringing.invite, ringing.tag
        if await wait_for(ringing.cancelled, attempt.plan.ring_s):
            await self._refuse(ringing, 487, "Request Terminated")
        elif attempt.plan.refusal is not None:
            await self._refuse(ringing, attempt.plan.refusal, "Refused")
        else:
            leg = _Leg(
                attempt=attempt,
                notes=attempt.notes(tag),
                call_id=attempt.call_id,
                own=f"{invite.value('to')};tag={tag}",
                peer=invite.value("from"),
                target=invite.contact(),
                routes=tuple(invite.routes()),
                cseq=0,
            )
            self._legs[attempt.call_id, tag] = leg
            await self._answer(leg, ringing)

    async def _answer(self, leg: _Leg, ringing: _Ringing) -> None:
        attempt = leg.attempt
        leg.notes.note_answer_sent(asyncio.get_running_loop().time())
        async for _ in self._timers.repetitions(leg.acknowledged, capped=True):
            if leg.over.is_set():
                return
            self._respond(ringing.invite, 200, "OK", tag=ringing.tag, contact=self.contact)
        if not leg.acknowledged.is_set():
            await self._hang_up(leg)  # §13.3.1.4
        elif attempt.plan.hangs_up is Hangup.CALLEE:
            await wait_for(leg.over, attempt.plan.talk_s)
            await self._hang_up(leg)

    async def _refuse(self, ringing: _Ringing, status: int, reason: str) -> None:
        async for _ in self._timers.repetitions(ringing.acknowledged, capped=True):
            self._respond(ringing.invite, status, reason, tag=ringing.tag)

    def _take_ack(self, request: Message) -> None:
        ringing = self._ringing.get(request.branch)
        if ringing is not None:
            ringing.acknowledged.set()
        leg = self._leg_of(request)
        if leg is not None:
            leg.acknowledged.set()

    def _take_cancel(self, request: Message) -> None:
        ringing = self._ringing.get(request.branch)
        if ringing is None:
            self._respond(request, 481, "Call Does Not Exist")
        else:
            self._respond(request, 200, "OK", tag=ringing.tag)
            ringing.cancelled.set()

    # -- within a call --

    def _leg_of(self, request: Message) -> _Leg | None:
        return self._legs.get((request.value("call-id"), request.tag("to")))

    def _take_bye(self, request: Message) -> None:
        leg = self._leg_of(request)
        if leg is None:
            self._respond(request, 481, "Call Does Not Exist")
        else:
            leg.notes.note_hang_up_heard(asyncio.get_running_loop().time())
            leg.over.set()
            self._respond(request, 200, "OK")

    async def _hang_up(self, leg: _Leg) -> None:
        if leg.over.is_set():
            return
        leg.over.set()
        now = asyncio.get_running_loop().time
        leg.notes.note_hung_up(now())
        leg.cseq += 1
        branch = new_branch()
        bye = self._in_dialog(leg, "BYE", branch, leg.cseq)
        client = self._clients[branch, "BYE"] = ClientTransaction(bye, "BYE", self._send, self._timers)
        final = await client.run()
        leg.attempt.bye_statuses.append(None if final is None else final.status)
        leg.notes.note_hang_up_settled(now())

    def _in_dialog(self, leg: _Leg, method: str, branch: str, cseq: int) -> bytes:
        return write_request(
            method,
            leg.target,
            address=self._address,
            branch=branch,
            from_=leg.own,
            to=leg.peer,
            call_id=leg.call_id,
            cseq=cseq,
            headers=tuple(f"Route: {route}" for route in leg.routes),
        )


def _is_challenge(response: Message | None) -> bool:
    return response is not None and response.status == 407
