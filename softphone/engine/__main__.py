"""`python -m softphone.engine --channel FD`: the engine process, at the far end of an EngineClient."""

from __future__ import annotations

import argparse
import logging
import os
import signal
import socket

from softphone.engine.channel import Channel
from softphone.engine.process import EngineProcess

_log = logging.getLogger("softphone.engine")


def main() -> int:
    parser = argparse.ArgumentParser(prog="softphone.engine", description=__doc__)
    parser.add_argument(
        "--channel", type=int, required=True, help="inherited descriptor of a connected socket"
    )
    arguments = parser.parse_args()
    # Ctrl-C goes to the whole terminal: the phone hears it and ends the engine in order.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s engine %(levelname)s %(message)s")
    try:
        EngineProcess(Channel(socket.socket(fileno=arguments.channel))).run()
    except Exception:  # noqa: BLE001  # passed on as the exit code
        _log.exception("the engine gives up")
        return 1
    return 0


if __name__ == "__main__":
    # Not sys.exit: after a failure the library is still up, and tearing the interpreter down around it would
    # crash.
    code = main()
    logging.shutdown()
    os._exit(code)
