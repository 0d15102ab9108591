"""`python -m sip_proxy`: run the exchange."""

import os
import sys

from sip_proxy.compiled import use_compiled
from sip_proxy.settings import SettingsError, read_compiled


def main() -> int:
    """Run the exchange, with its core compiled where there is one of these sources; return the exit code."""
    try:
        if read_compiled(os.environ):
            use_compiled()
    except SettingsError as error:
        print(f"sip_proxy: {error}", file=sys.stderr)
        return 2
    from sip_proxy import program  # only now: it imports the core

    return program.main()


if __name__ == "__main__":
    sys.exit(main())
