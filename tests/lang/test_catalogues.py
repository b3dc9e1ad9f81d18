"""Every sentence exists in every language, with the same blanks; zh-CN is written, not converted."""

from __future__ import annotations

import gettext
import re
import string
from pathlib import Path

import pytest

from launcher.i18n import LANGUAGES
from launcher.i18n import catalogue as path_at_run_time

ROOT = Path(__file__).resolve().parents[2]
TRANSLATED = LANGUAGES[1:]

# Product words and commands may be all there is; a sentence needs a character of the language.
CHINESE = re.compile("[\u4e00-\u9fff]")


def blanks(template: str) -> list[str]:
    """The names that are filled in. A format may differ: `{label:en}` is `{label:zh-TW}` there."""
    return sorted(name for _, name, _, _ in string.Formatter().parse(template) if name is not None)


def written(catalogues, language):
    """(template of one, text) of what is translated; the first test says what is not."""
    return [
        (one, text)
        for template, text in catalogues.texts(catalogues.read(language)).items()
        for one in ((template,) if isinstance(template, str) else template)
        if text
    ]


def test_nothing_is_missing_left_over_empty_or_fuzzy(catalogues):
    """What the source says is what the catalogues have: `make messages` after a change of words."""
    assert catalogues.problems() == []


def test_there_are_sentences(catalogues):
    """The extraction finds what it is meant to find."""
    found = catalogues.ids()
    assert len(found) > 600
    assert ("{count} file", "{count} files") in found
    assert "{source} needs a different runtime. Nothing was started." in found


def test_no_sentence_is_a_formatted_string(catalogues):
    """A template is a literal: words(f"…") would be looked up under what it happens to be."""
    found = []
    for path in (ROOT / "launcher").rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        found += re.findall(r"\b(?:words|counted|message)\(\s*(?:r?f|rb?)[\"'].*", text)
    assert found == []


def test_blanks_are_the_same(catalogues, language):
    """Each text fills in what its template fills in, and nothing else."""
    pairs = written(catalogues, language)
    assert [pair for pair in pairs if blanks(pair[0]) != blanks(pair[1])] == []


def test_code_stays_as_it_is(catalogues, language):
    """What stands in backticks in the English stands in backticks there, to the character."""
    wrong = []
    for one, text in written(catalogues, language):
        if sorted(re.findall(r"`[^`]+`", one)) != sorted(re.findall(r"`[^`]+`", text)):
            wrong.append((one, text))
    assert [pair for pair in wrong if pair[0] != "a `/`" and "``" not in pair[0]] == []


def test_options_are_not_translated(catalogues, language):
    """Options, environment variables and commands are typed as they are in every language."""
    typed = re.compile(
        r"(?<![\w-])--[a-z][a-z-]+|\b[A-Z][A-Z]+_[A-Z_]+\b"
        r"|colab-run (?:run|check|exec|probe|release|explain|rates|catalog)\b"
    )
    for one, text in written(catalogues, language):
        if one.startswith("colab-run was asked"):
            continue
        assert sorted(typed.findall(one)) == sorted(typed.findall(text)), (one, text)


@pytest.mark.parametrize("language", TRANSLATED)
def test_po_and_mo_hold_together(catalogues, language):
    """The compiled catalogue that is installed is the one that people edit."""
    with open(path_at_run_time(language, "mo"), "rb") as file:
        compiled = gettext.GNUTranslations(file)
    for template, text in catalogues.texts(catalogues.read(language)).items():
        if isinstance(template, str):
            assert not text or compiled.gettext(template) == text
        else:
            assert not text or {compiled.ngettext(*template, count) for count in (0, 1, 2, 7)} == {text}


def test_texts_are_in_the_language(catalogues, language):
    """A text of words has at least one character of the language."""
    left = [
        text
        for _, text in written(catalogues, language)
        if not CHINESE.search(text) and re.sub(r"\{[^}]*\}|[\W\d_]|RAM|CPU|GPU|TPU|exec", "", text)
    ]
    assert left == []


def test_punctuation_is_of_the_language(catalogues, language):
    """Full-width behind a Chinese character; brackets as the two documents of the project write them."""
    for _, text in written(catalogues, language):
        assert not re.search("[\u4e00-\u9fff][,;:?](?!\n)", text), text
        assert not re.search("[\u4e00-\u9fff]\\.(?![.…])", text), text
        if language == "zh-TW":
            assert "（" not in text and "“" not in text.replace("“Run all”", ""), text
        else:
            assert "「" not in text and not re.search("[\u4e00-\u9fff]\\(", text), text
