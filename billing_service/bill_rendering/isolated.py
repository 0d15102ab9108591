"""Running the programs that set and join pages, each in a process of its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Final

from billing_service.errors import BillingServiceError

LONGEST_S: Final = 300.0
"""A bill with 5,000 calls takes about 4 s to set, joining 5,000 bills about 8 s."""


class UnableToSetBills(BillingServiceError):
    """The program gave up, or was given up on; the text is its own, or says so."""


def run_isolated(program: Path, wish: bytes, *, doing: str) -> bytes:
    """Run a Python program on a wish, and return what it writes; `doing` says what it is at.

    It runs isolated and without our environment: it needs none of our secrets.

    Raises:
        UnableToSetBills: the program failed, or took longer than LONGEST_S.
    """
    try:
        done = subprocess.run(
            [sys.executable, "-I", str(program)],
            input=wish,
            capture_output=True,
            timeout=LONGEST_S,
            env={},
            check=True,
        )
    except subprocess.TimeoutExpired as error:
        raise UnableToSetBills(f"{doing} took longer than {LONGEST_S:g} s") from error
    except subprocess.CalledProcessError as error:
        raise UnableToSetBills(f"{doing} failed: {error.stderr.decode()[-2000:]}") from error
    return done.stdout
