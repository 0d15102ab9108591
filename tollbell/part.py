"""One part of the system as a supervised child process."""

import asyncio
import contextlib
import ctypes
import os
import signal
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache

FIRST_RESTART_DELAY_S = 0.2
LONGEST_RESTART_DELAY_S = 10.0
# A part that ran this long before it died starts again with the shortest delay.
STEADY_AFTER_S = 30.0
STOP_TIMEOUT_S = 15.0
PR_SET_PDEATHSIG = 1
# The exit code of a part that refuses its settings: starting it again can't help.
WRONG_SETTINGS = 2


class PartFailed(Exception):
    """A part ended where it should not have; the text says which and how."""


@dataclass(slots=True)
class Part:
    """A program to run: `python -m` these arguments.

    The child has a session of its own, so that Ctrl-C reaches the supervisor alone and the parts stop in
    order. Should the supervisor be killed outright, the kernel tells the child to end.
    """

    name: str
    module_arguments: tuple[str, ...]
    environment: Mapping[str, str]
    say: Callable[[str, str], None]
    _process: asyncio.subprocess.Process | None = field(default=None, init=False)
    _output: asyncio.Task[None] | None = field(default=None, init=False)
    _stop_requested: asyncio.Event = field(default_factory=asyncio.Event, init=False)

    async def run_once(self) -> None:
        """Run the program to its end.

        Raises `PartFailed` unless it ends with exit code 0.
        """
        code = await self._run()
        if code:
            raise PartFailed(f"{self.name} ended with exit code {code}; its last lines are above")

    async def start(self) -> None:
        """Start the program."""
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            *self.module_arguments,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            env=dict(self.environment),
            start_new_session=True,
            preexec_fn=_end_with_parent(),
        )
        self._output = asyncio.create_task(self._pass_on_output(self._process))

    @property
    def exit_code(self) -> int | None:
        """The exit code, or None while the program runs or before it ran."""
        return self._process.returncode if self._process else None

    async def watch(self) -> None:
        """Keep the started program running: start it again whenever it ends, with growing delays."""
        loop = asyncio.get_running_loop()
        delay_s = FIRST_RESTART_DELAY_S
        started_at = loop.time()
        while True:
            code = await self._ended()
            if self._stop_requested.is_set():
                return
            if code == WRONG_SETTINGS:
                self.say(self.name, "its settings can't be used; it is not started again")
                return
            if loop.time() - started_at > STEADY_AFTER_S:
                delay_s = FIRST_RESTART_DELAY_S
            self.say(self.name, f"ended with {_how(code)}; starting it again in {delay_s:g} s")
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(delay_s):
                    await self._stop_requested.wait()
                    return
            delay_s = min(2 * delay_s, LONGEST_RESTART_DELAY_S)
            started_at = loop.time()
            await self.start()

    async def stop(self) -> None:
        """Ask the program to end, and end it when it does not within `STOP_TIMEOUT_S`."""
        self._stop_requested.set()
        if self._process is None:
            return
        if self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.send_signal(signal.SIGTERM)
            try:
                async with asyncio.timeout(STOP_TIMEOUT_S):
                    await self._process.wait()
            except TimeoutError:
                self.say(self.name, f"did not stop within {STOP_TIMEOUT_S:g} s; killing it")
                with contextlib.suppress(ProcessLookupError):
                    self._process.kill()
        await self._ended()

    async def _run(self) -> int:
        await self.start()
        return await self._ended()

    async def _ended(self) -> int:
        assert self._process is not None
        assert self._output is not None
        code = await self._process.wait()
        await self._output
        return code

    async def _pass_on_output(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdout is not None
        while True:
            try:
                line = await process.stdout.readline()
            except ValueError:  # a line longer than the reader's limit; the reader has dropped it
                line = b"(a very long line was left out)\n"
            if not line:
                return
            self.say(self.name, line.decode(errors="replace").rstrip())


def _how(code: int) -> str:
    return f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"


@cache
def _end_with_parent() -> Callable[[], None]:
    # Looked up before the fork: little is safe between fork and exec.
    prctl = ctypes.CDLL(None).prctl
    parent = os.getpid()

    def in_the_child() -> None:
        prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
        if os.getppid() != parent:  # the parent died before prctl
            os._exit(1)

    return in_the_child
