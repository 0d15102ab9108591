"""The labels of printed bills: complete in every language, with everything that is to be filled in."""

import string
from dataclasses import asdict

import pytest
from babel import Locale

from billing_service.bill_rendering.labels import LANGUAGES, labels_of
from billing_service.bill_rendering.labels.english import ENGLISH
from billing_service.bill_rendering.labels.label import Labels

FOREIGN = [labels for labels in LANGUAGES.values() if labels is not ENGLISH]


def blanks(text: str) -> list[str]:
    """What is to be filled in."""
    return sorted(name for _, name, _, _ in string.Formatter().parse(text) if name is not None)


@pytest.mark.parametrize("labels", LANGUAGES.values(), ids=LANGUAGES)
def test_no_label_is_missing(labels: Labels) -> None:
    for name, text in asdict(labels).items():
        assert text, name
        assert text == " ".join(text.split(" ")).strip(), name
        assert blanks(text) == blanks(getattr(ENGLISH, name)), name


@pytest.mark.parametrize("labels", FOREIGN, ids=lambda labels: labels.language)
def test_what_is_not_english_is_translated(labels: Labels) -> None:
    as_in_english = {name for name, text in asdict(labels).items() if text == getattr(ENGLISH, name)}
    # Words that are the same, and the sign of a day.
    assert as_in_english <= {"date", "total", "revision", "day_unit"}


def test_german_is_written_as_in_switzerland_too() -> None:
    assert "ß" not in "".join(asdict(LANGUAGES["de"]).values())


@pytest.mark.parametrize(
    ("locale", "language"),
    [("de_CH", "de"), ("fr_CA", "fr"), ("es_419", "es"), ("pt_BR", "pt"), ("pt_PT", "pt"), ("nl", "en")],
)
def test_a_locale_has_the_labels_of_its_language_or_else_english_ones(locale: str, language: str) -> None:
    assert labels_of(Locale.parse(locale)).language == language
