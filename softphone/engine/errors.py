"""Why a command was not carried out."""

from __future__ import annotations


class UnableToObeyError(Exception):
    """A command does not fit the state of the engine, or names something that is not there; the text says
    which.
    """
