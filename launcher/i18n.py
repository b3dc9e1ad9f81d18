"""Which language a person reads, and the sentences in it.

English is the template. The others are gettext catalogues in launcher/locale; gettext is imported only
when one of them is wanted. A language is a value that is handed on: nothing here is kept between calls
but the catalogues that were read.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from launcher.errors import UsageError
from launcher.words import CONTEXT_END, english, words

if TYPE_CHECKING:
    from collections.abc import Mapping

    from launcher.words import Translate

LANGUAGES = ("en", "zh-TW", "zh-CN")
VARIABLE = "COLAB_RUN_LANG"
DOMAIN = "colab-run"
# Said in their own languages, to people who were given English without having asked for it.
OTHERS = "繁體中文：--lang zh-TW · 简体中文：--lang zh-CN"

_LOCALE_VARIABLES = ("LC_ALL", "LC_MESSAGES", "LANG")
_TRADITIONAL = ("tw", "hk", "mo", "hant")
_SIMPLIFIED = ("cn", "sg", "my", "hans")


@dataclass(frozen=True, slots=True)
class Choice:
    """A language; `asked` is False where nothing said which one the person reads.

    A locale of English, C or POSIX says nothing: images are built with it.
    """

    language: str
    asked: bool

    @property
    def translate(self) -> Translate:
        """From templates into this language."""
        return speaker(self.language)


def choose(environ: Mapping[str, str], *, option: str | None = None, job: str | None = None) -> Choice:
    """`--lang`, then COLAB_RUN_LANG, then `lang:` of the job file, then the locale, then English.

    Raises UsageError for a language that is none of ours, where a person named it.
    """
    for name, value in (("--lang", option), (VARIABLE, environ.get(VARIABLE) or None)):
        if value is not None:
            return Choice(_named(name, value), asked=True)
    if job is not None:
        return Choice(job, asked=True)
    return by_locale(environ)


def by_locale(environ: Mapping[str, str]) -> Choice:
    """What the locale says; the first variable that is set counts, as everywhere on Unix."""
    locale = next((environ[name] for name in _LOCALE_VARIABLES if environ.get(name)), "")
    language = understood(locale) or "en"
    return Choice(language, asked=language != "en")


def understood(text: str) -> str | None:
    """One of ours from its name or from a locale's: `zh-TW`, `zh_TW.UTF-8`, `zh-Hant-HK`, `en_GB`."""
    first, *rest = text.partition(".")[0].partition("@")[0].replace("_", "-").lower().split("-")
    if first == "en":
        return "en"
    if first != "zh":
        return None
    if any(part in _TRADITIONAL for part in rest):
        # The script decides, not the country: zh-Hans-HK is simplified.
        return "zh-CN" if "hans" in rest else "zh-TW"
    return "zh-CN" if not rest or any(part in _SIMPLIFIED for part in rest) else None


def _named(name: str, value: str) -> str:
    language = understood(value)
    if language is None:
        raise UsageError(
            words("{name} {value} is not a supported language", name=name, value=value),
            words("use one of: {known}", known=", ".join(LANGUAGES)),
        )
    return language


@cache
def speaker(language: str) -> Translate:
    """Translates templates into `language`; what its catalogue lacks stays English."""
    if language == "en":
        return english
    import gettext

    with open(catalogue(language, "mo"), "rb") as file:
        found = gettext.GNUTranslations(file)

    def translate(template: str, several: str | None, count: int) -> str:
        if not template:
            return template  # gettext answers the empty text with the catalogue's head
        if several is not None:
            return found.ngettext(template, several, count)
        return found.gettext(template).rpartition(CONTEXT_END)[2]

    return translate


def catalogue(language: str, ending: str) -> str:
    """The path of a language's catalogue, `po` or `mo`."""
    folder = os.path.join(os.path.dirname(os.path.abspath(__file__)), "locale")
    return os.path.join(folder, language.replace("-", "_"), "LC_MESSAGES", f"{DOMAIN}.{ending}")
