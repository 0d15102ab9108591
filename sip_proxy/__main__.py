"""`python -m sip_proxy`: run the exchange."""

import os
import sys

from sip_proxy.compiled import use_compiled


def main() -> int:
    """Run the exchange, with its core compiled where there is one of these sources; return the exit code."""
    if os.environ.get("TOLLBELL_COMPILED") != "no":
        use_compiled()
    from sip_proxy import program  # only now: it imports the core

    return program.main()


if __name__ == "__main__":
    sys.exit(main())
