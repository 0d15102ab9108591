"""The environment of the programs that tests start."""

import os


def clean_environment() -> dict[str, str]:
    """Return our environment without Tollbell's settings, but for the one that says which core to run."""
    return {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("TOLLBELL_") or name == "TOLLBELL_COMPILED"
    }
