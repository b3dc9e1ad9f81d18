"""Sentences travel as JSON, for whoever puts them into a language."""

from __future__ import annotations

import json
from pathlib import Path

from launcher.words import Text, counted, from_plain, joined, spelled, to_plain, within, words

SENTENCES: tuple[Text, ...] = (
    "",
    "plain {text}",
    words("the run {run_id} is at work", run_id="20261122"),
    counted("{count} file in {folder}", "{count} files in {folder}", 3, folder="out"),
    within("state of a sign", "alive"),
    joined(words("one of {whole}.", whole=spelled(3700)), words("{figure} s", figure=1.5)),
)


def test_sentences_come_back_as_they_were() -> None:
    """Templates, fields within fields, plural forms, contexts."""
    for sentence in SENTENCES:
        assert from_plain(json.loads(json.dumps(to_plain(sentence)))) == sentence


def test_what_json_does_not_have_becomes_text() -> None:
    """A path in a field."""
    plain = to_plain(words("{path} exists", path=Path("/content/HOLD")))
    assert str(from_plain(json.loads(json.dumps(plain)))) == "/content/HOLD exists"


def test_what_is_no_sentence_is_empty() -> None:
    """Of a version that says it otherwise."""
    assert [from_plain(odd) for odd in (None, 3, [], {}, {"template": 3})] == [""] * 5
