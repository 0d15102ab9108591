"""A real phone for end-to-end tests: registers, calls, speaks and listens, by way of the softphone's engine.

    with phone("0001", "secret", server="127.0.0.1:5060") as alice, phone("0002", …) as bob:
        alice.register()
        bob.register()
        alice.call("0002")
        bob.wait_for_ring()
        bob.answer()
        alice.wait_until_talking()
        alice.send_tone(440)
        bob.hear_frequency(440)
        alice.hang_up()
        bob.wait_for_end()

Every wait has a deadline and fails with what the engine had said until then.
"""

from __future__ import annotations

import os
import signal
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from softphone.engine import commands, events
from softphone.engine.client import EngineClient
from softphone.engine.commands import Transport
from softphone.engine.events import CallState, CallStateChanged
from softphone.engine.sound import continuous
from tests.support.tones import Recording, dominant_frequency_hz, level_db, read_wav, signal_to_noise_db

SomeEvent = TypeVar("SomeEvent")

DEFAULT_DOMAIN = "tollbell.local"
WAIT_S = 10.0


class Phone:
    """One engine process and the call it is in. Made by `phone`, which also ends it."""

    def __init__(
        self, number: str, password: str, *, server: str, transport: str, domain: str, directory: Path
    ) -> None:
        self.number = number
        self.transport = transport
        self.call_name: str | None = None
        self.log_path = directory / f"phone-{number}.log"
        self._directory = directory
        self._password = password
        self._server = server
        self._domain = domain
        self._placed = 0
        self._recordings = 0
        self.engine = EngineClient(log_path=self.log_path)
        self.engine.send(
            commands.StartUp(bind_address="127.0.0.1", transport=Transport(transport), trace=True)
        )
        self.started = self.wait_for(events.Started)

    @property
    def sip_uri(self) -> str:
        """Where this phone can be called directly, without an exchange."""
        return f"sip:{self.number}@{self.started.address}:{self.started.port}"

    def wait_for(
        self,
        kind: type[SomeEvent],
        matching: Callable[[SomeEvent], bool] | None = None,
        *,
        timeout_s: float = WAIT_S,
    ) -> SomeEvent:
        """The first event of a kind that was not waited for yet. Others stay for later."""
        return self.engine.wait_for(kind, matching, timeout_s=timeout_s)

    # -- registration --

    def register(self, *, expires_s: int = 60, timeout_s: float = WAIT_S) -> events.Registered:
        """Register and wait until the exchange has agreed."""
        self._send_register(expires_s)
        return self.wait_for(events.Registered, timeout_s=timeout_s)

    def register_in_vain(self, *, timeout_s: float = WAIT_S) -> events.RegistrationFailed:
        """Register and wait until the exchange has refused."""
        self._send_register(60)
        return self.wait_for(events.RegistrationFailed, timeout_s=timeout_s)

    def _send_register(self, expires_s: int) -> None:
        self.engine.send(
            commands.Register(
                number=self.number,
                password=self._password,
                server=self._server,
                domain=self._domain,
                expires_s=expires_s,
            )
        )

    # -- calls --

    def call(self, target: str) -> str:
        """Start a call to a number or a SIP URI, and go on without waiting. Returns the call's name."""
        self._placed += 1
        self.call_name = f"out-{self._placed}"
        self.engine.send(commands.PlaceCall(call=self.call_name, target=target))
        return self.call_name

    def wait_for_ring(self, *, timeout_s: float = WAIT_S) -> events.IncomingCall:
        """Wait until somebody calls; that call is then this phone's."""
        ring = self.wait_for(events.IncomingCall, timeout_s=timeout_s)
        self.call_name = ring.call
        return ring

    def wait_for_state(self, state: CallState, *, timeout_s: float = WAIT_S) -> CallStateChanged:
        """Wait until this phone's call has come to a state."""
        name = self._current_call()
        return self.wait_for(
            CallStateChanged, lambda event: event.call == name and event.state is state, timeout_s=timeout_s
        )

    def wait_until_ringing(self, *, timeout_s: float = WAIT_S) -> CallStateChanged:
        """Wait for the ring-back of a call that was placed."""
        return self.wait_for_state(CallState.RINGING, timeout_s=timeout_s)

    def wait_until_talking(self, *, timeout_s: float = WAIT_S) -> CallStateChanged:
        return self.wait_for_state(CallState.CONNECTED, timeout_s=timeout_s)

    def wait_for_end(self, *, timeout_s: float = WAIT_S) -> CallStateChanged:
        """Wait for the end of the call, with the status that ended it (of a refusal, or 200)."""
        return self.wait_for_state(CallState.ENDED, timeout_s=timeout_s)

    def answer(self) -> None:
        """Answer the call that rings, and wait until the caller has acknowledged it."""
        self.engine.send(commands.Answer(call=self._current_call()))
        self.wait_until_talking()

    def reject(self, status: int = 486) -> None:
        self.engine.send(commands.Reject(call=self._current_call(), status=status))

    def hang_up(self) -> CallStateChanged:
        """End the call, and wait until the other side or the exchange has agreed."""
        self.engine.send(commands.HangUp(call=self._current_call()))
        return self.wait_for_end()

    def hold(self) -> None:
        """Put the other side on hold."""
        self.engine.send(commands.Hold(call=self._current_call()))

    def resume(self) -> None:
        """Take the other side back from hold."""
        self.engine.send(commands.Resume(call=self._current_call()))

    def transfer(self, target: str) -> None:
        """Ask the other side to call somebody else instead, and go on without waiting."""
        self.engine.send(commands.Transfer(call=self._current_call(), target=target))

    def transfer_to_call(self, other: str) -> None:
        """Ask for this call's other side to be connected with that of another call."""
        self.engine.send(commands.TransferToCall(call=self._current_call(), other=other))

    def wait_for_transfer(self) -> events.TransferProgressed:
        """Wait until the other side says how the transfer ended."""
        name = self._current_call()
        return self.wait_for(events.TransferProgressed, lambda event: event.call == name and event.is_final)

    def wait_until_moved(self) -> str:
        """Wait until the other side has transferred this phone's call; the new one is then its call."""
        name = self._current_call()
        self.call_name = self.wait_for(events.CallMoved, lambda event: event.call == name).to
        return self.call_name

    def _current_call(self) -> str:
        assert self.call_name is not None, f"phone {self.number} is in no call"
        return self.call_name

    # -- sound --

    def send_tone(self, *frequencies_hz: int) -> None:
        """Speak a steady tone into the call until `stop_sending`."""
        self.engine.send(commands.PlayTone(tone=continuous(*frequencies_hz)))

    def send_wav(self, path: Path) -> None:
        self.engine.send(commands.PlayWav(path=str(path)))

    def stop_sending(self) -> None:
        self.engine.send(commands.StopPlaying())

    def send_dtmf(self, digits: str) -> None:
        self.engine.send(commands.SendDtmf(call=self._current_call(), digits=digits))

    def expect_dtmf(self, digits: str) -> None:
        """Wait for exactly these keys, one after the other."""
        heard = "".join(self.wait_for(events.DtmfReceived).digit for _ in digits)
        assert heard == digits

    def listen(self, seconds: float = 1.0) -> Recording:
        """Record the earpiece until there are that many seconds of it."""
        self._recordings += 1
        path = self._directory / f"heard-by-{self.number}-{self._recordings}.wav"
        self.engine.send(commands.StartRecording(path=str(path)))
        time.sleep(seconds)  # sound takes its own time; there is no event for "a second has been heard"
        self.engine.send(commands.StopRecording())
        self.wait_for(events.RecordingStopped)
        return read_wav(path)

    def hear_frequency(
        self, frequency_hz: float, *, min_snr_db: float = 15.0, timeout_s: float = WAIT_S
    ) -> Recording:
        """Listen until this frequency is what is heard, this far above everything else.

        Fails with what was heard.
        """
        deadline = time.monotonic() + timeout_s
        while True:
            heard = self.listen(0.8).loudest(0.5)
            snr_db = signal_to_noise_db(heard, frequency_hz) if level_db(heard) > -60 else -120.0
            if snr_db >= min_snr_db:
                return heard
            if time.monotonic() > deadline:
                raise AssertionError(
                    f"phone {self.number} does not hear {frequency_hz} Hz: {snr_db:.1f} dB over the rest, "
                    f"level {level_db(heard):.1f} dB, strongest {dominant_frequency_hz(heard):.1f} Hz"
                )

    def hear_silence(self, *, below_db: float = -50.0, timeout_s: float = WAIT_S) -> None:
        """Listen until nothing is heard."""
        deadline = time.monotonic() + timeout_s
        while (level := level_db(self.listen(0.5))) > below_db:
            assert time.monotonic() < deadline, (
                f"phone {self.number} still hears something, at {level:.1f} dB"
            )

    # -- ends --

    def kill(self) -> None:
        """The phone loses power: no BYE, no farewell."""
        os.kill(self.engine.process_id, signal.SIGKILL)

    def close(self) -> None:
        """Hang up, unregister and end the process."""
        self.engine.shut_down()


@contextmanager
def phone(
    number: str = "",
    password: str = "",
    *,
    server: str = "",
    transport: str = "udp",
    domain: str = DEFAULT_DOMAIN,
    directory: Path | None = None,
) -> Iterator[Phone]:
    """A phone that is ended with the block.

    Its log (with the SIP messages) and recordings are in `directory`.
    """
    with tempfile.TemporaryDirectory(prefix="phone-") as temporary:
        one = Phone(
            number,
            password,
            server=server,
            transport=transport,
            domain=domain,
            directory=directory or Path(temporary),
        )
        try:
            yield one
        finally:
            one.close()
