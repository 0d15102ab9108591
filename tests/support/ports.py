"""Ports for servers under test, which two test processes never draw at the same time.

They lie below the range from which the kernel gives ports to clients, so none is taken by chance between the
stop and the next start of a server.
"""

import contextlib
import itertools
import os
import socket

_FIRST = 10_000
_PER_WORKER = 2_000
_WORKERS = 10

_worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw9").removeprefix("gw")) % _WORKERS
_start = os.getpid() % _PER_WORKER
_drawn = itertools.count()


def free_port() -> int:
    """A port of 127.0.0.1 that is free for UDP and TCP, and that this process has not drawn lately."""
    for _ in range(_PER_WORKER):
        port = _FIRST + _worker * _PER_WORKER + (_start + next(_drawn)) % _PER_WORKER
        with contextlib.suppress(OSError):
            for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM):
                with socket.socket(socket.AF_INET, kind) as probe:
                    probe.bind(("127.0.0.1", port))
            return port
    raise AssertionError("every port for tests is taken")
