"""The labels of printed bills by language; a module for each, with all of a language's words."""

from __future__ import annotations

from typing import Final

from babel import Locale

from billing_service.bill_rendering.labels.english import ENGLISH
from billing_service.bill_rendering.labels.french import FRENCH
from billing_service.bill_rendering.labels.german import GERMAN
from billing_service.bill_rendering.labels.label import Labels
from billing_service.bill_rendering.labels.portuguese import PORTUGUESE
from billing_service.bill_rendering.labels.spanish import SPANISH

LANGUAGES: Final = {labels.language: labels for labels in (ENGLISH, GERMAN, FRENCH, SPANISH, PORTUGUESE)}


def labels_of(locale: Locale) -> Labels:
    """The labels of the locale's language, whatever its territory; English where there are none."""
    return LANGUAGES.get(locale.language, ENGLISH)
