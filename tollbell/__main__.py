"""`python -m tollbell`: the whole system in the foreground."""

import signal

# Until the loop takes over, Ctrl-C just ends the program: no traceback out of an import.
signal.signal(signal.SIGINT, signal.SIG_DFL)

import asyncio  # noqa: E402
import os  # noqa: E402
import sys  # noqa: E402

from tollbell.part import PartFailed  # noqa: E402
from tollbell.preflight import UnableToStart  # noqa: E402
from tollbell.settings import SettingsError, current_settings  # noqa: E402
from tollbell.summary import summary  # noqa: E402
from tollbell.supervisor import Supervisor  # noqa: E402

COLOURS = {"postgres": 36, "migrate": 36, "sample": 36, "billing": 32, "proxy": 33, "admin": 35}


def main() -> int:
    """Run until told to stop; the exit code is 0 after a clean stop, 1 when it could not start."""
    coloured = sys.stdout.isatty()

    def say(part: str, line: str) -> None:
        name = f"{part:<8}"
        if coloured:
            name = f"\033[{COLOURS.get(part, 0)}m{name}\033[0m"
        print(f"{name} | {line}", flush=True)

    try:
        settings = current_settings()

        async def run() -> None:
            await Supervisor(settings, say).run(lambda: print(summary(settings, os.environ), flush=True))

        asyncio.run(run())
    except (SettingsError, UnableToStart, PartFailed) as problem:
        print(f"Tollbell can't start: {problem}", file=sys.stderr, flush=True)
        return 1
    print("Tollbell has stopped", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
