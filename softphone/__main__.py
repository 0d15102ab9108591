"""`python -m softphone 0001`: a desk phone with that number, in a window or without one."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from softphone import headless
from softphone.engine.commands import Transport
from softphone.settings import Options, Settings, SettingsError, read_settings


def main(arguments: Sequence[str] | None = None) -> int:
    parser = _parser()
    options = parser.parse_args(arguments)
    try:
        settings = read_settings(
            Options(
                number=options.number,
                server=options.server,
                transport=Transport(options.transport),
                domain=options.domain,
                display_name=options.display_name,
                password_file=options.password_file,
                log_file=options.log_file,
                trace=options.trace,
            ),
            os.environ,
        )
    except SettingsError as error:
        print(f"softphone: {error}", file=sys.stderr)
        return 2
    if options.headless:
        return _run_headless(settings, auto_answer=options.auto_answer)
    # Here, so that a phone without a window needs none of the desktop's libraries.
    from softphone.composition import run_window

    return run_window(settings)


def _run_headless(settings: Settings, *, auto_answer: bool) -> int:
    # A plain kill ends the phone like Ctrl-C does: the call is hung up and the number unregistered first.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        return headless.run(
            settings,
            auto_answer=auto_answer,
            input_fd=sys.stdin.fileno(),
            write=lambda line: print(line, flush=True),
        )
    except KeyboardInterrupt:
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="softphone",
        description="A desk phone on the screen, or without one.",
        epilog=f"Without a window, standard input takes {headless.HELP}; standard output tells events.",
    )
    parser.add_argument("number", help="the phone's number at the exchange, such as 0001")
    parser.add_argument(
        "--server", metavar="HOST:PORT", help="the exchange (TOLLBELL_SIP_UDP, or 127.0.0.1:5060)"
    )
    parser.add_argument("--transport", choices=[transport.value for transport in Transport], default="udp")
    parser.add_argument("--domain", help="the exchange's SIP domain (TOLLBELL_SIP_DOMAIN, or tollbell.local)")
    parser.add_argument("--display-name", metavar="NAME", help="the name that called phones show")
    parser.add_argument(
        "--password-file",
        type=Path,
        metavar="FILE",
        help="else TOLLBELL_PHONE_PASSWORD_FILE, TOLLBELL_PHONE_PASSWORD, or the sample data's",
    )
    parser.add_argument("--headless", action="store_true", help="no window: commands on standard input")
    parser.add_argument("--auto-answer", action="store_true", help="with --headless: answer every call")
    parser.add_argument("--log-file", type=Path, metavar="FILE", help="where the SIP engine writes its log")
    parser.add_argument("--trace", action="store_true", help="log every SIP message whole")
    return parser


if __name__ == "__main__":
    sys.exit(main())
