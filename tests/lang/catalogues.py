"""Collect every sentence from the source, and bring the catalogues of launcher/locale up to date.

    python tests/lang/catalogues.py            # say what is missing or left over
    python tests/lang/catalogues.py --write    # update the .po files and compile the .mo files

What is new stays empty in the .po file until somebody writes it; nothing is guessed.
"""

from __future__ import annotations

import sys
from datetime import datetime, timezone
from pathlib import Path

from babel.messages.catalog import Catalog
from babel.messages.extract import extract_from_dir
from babel.messages.frontend import parse_mapping_cfg
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po, write_po

ROOT = Path(__file__).resolve().parents[2]
if __name__ == "__main__":
    sys.path.append(str(ROOT))  # what is installed comes first

from launcher.i18n import DOMAIN, LANGUAGES  # noqa: E402 - as a program this file finds it by the line above
from launcher.words import CONTEXT_END  # noqa: E402

TRANSLATED = tuple(language for language in LANGUAGES if language != "en")
KEYWORDS = {"words": (1,), "counted": (1, 2), "message": (1,), "within": ((1, "c"), 2)}
# No date of the day: a catalogue changes when its sentences do.
BORN = datetime(2026, 11, 22, tzinfo=timezone.utc)

Id = str | tuple[str, str]


def path_of(language: str, ending: str) -> Path:
    """Where the source tree has it."""
    return ROOT / "launcher" / "locale" / language.replace("-", "_") / "LC_MESSAGES" / f"{DOMAIN}.{ending}"


def ids() -> set[Id]:
    """Every template of the source; one with a plural is a pair."""
    with (ROOT / "babel.cfg").open(encoding="utf-8") as file:
        methods, options = parse_mapping_cfg(file)
    found = extract_from_dir(ROOT, methods, options, KEYWORDS)
    return {_id(text, context) for _, _, text, _, context in found}


def _id(text: str | tuple[str, ...], context: str | None) -> Id:
    """As `Words` has it: a context stands before its template."""
    if context:
        return f"{context}{CONTEXT_END}{text}"
    return text if isinstance(text, str) else (text[0], text[1])


def read(language: str) -> Catalog:
    """A catalogue as it is written."""
    with path_of(language, "po").open("rb") as file:
        return read_po(file, locale=language.replace("-", "_"))


def texts(catalogue: Catalog) -> dict[Id, str]:
    """Template -> text; of a plural, the one form that Chinese has."""
    return {
        _id(entry.id, entry.context): entry.string if isinstance(entry.string, str) else entry.string[0]
        for entry in catalogue
        if entry.id
    }


def fresh(language: str, known: dict[Id, str]) -> Catalog:
    """A catalogue of the sentences of today, with the texts that are known."""
    catalogue = Catalog(
        language.replace("-", "_"),
        project="colab-run",
        copyright_holder="The colab-run developers",
        creation_date=BORN,
        revision_date=BORN,
        last_translator="The colab-run developers",
        language_team=language,
        charset="utf-8",
        fuzzy=False,
    )
    catalogue.header_comment = f"# colab-run in {language}. `make messages` updates this file."
    for template in sorted(ids(), key=lambda one: one if isinstance(one, str) else one[0]):
        text = known.get(template, "")
        string = text if isinstance(template, str) or not text else (text,)
        context, _, one = (
            template.rpartition(CONTEXT_END) if isinstance(template, str) else ("", "", template)
        )
        catalogue.add(one, string, context=context or None)
    return catalogue


def write() -> None:
    """Both files of every language."""
    for language in TRANSLATED:
        known = texts(read(language)) if path_of(language, "po").exists() else {}
        catalogue = fresh(language, known)
        path_of(language, "po").parent.mkdir(parents=True, exist_ok=True)
        with path_of(language, "po").open("wb") as file:
            write_po(file, catalogue, width=100, sort_output=True)
        with path_of(language, "mo").open("wb") as file:
            write_mo(file, catalogue)


def problems() -> list[str]:
    """What is missing, left over, empty or uncertain."""
    wanted = ids()
    found = []
    for language in TRANSLATED:
        catalogue = read(language)
        there = texts(catalogue)
        found += [f"{language}: not there: {one}" for one in wanted - set(there)]
        found += [f"{language}: nobody says it: {one}" for one in set(there) - wanted]
        found += [f"{language}: empty: {one}" for one, text in there.items() if not text]
        found += [f"{language}: fuzzy: {entry.id}" for entry in catalogue if entry.fuzzy and entry.id]
    return sorted(map(str, found))


def main() -> int:
    """Write, or say what is wrong."""
    if sys.argv[1:] == ["--write"]:
        write()
    print("\n".join(found := problems()) or "all sentences are there")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
