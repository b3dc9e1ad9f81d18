"""What `doctor` prints may be pasted anywhere: no secrets, no values of the environment, no names. Pure.

Only what fills our sentences is looked at, never the sentences: a user may be called `release`.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

from launcher.masking import MASK
from launcher.words import Words

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from launcher.doctoring.model import Row
    from launcher.words import Text

USER, HOST = "USER", "HOST"
# Names that tell nobody who it is.
_ANYBODY = frozenset({"root", "localhost", ""})
_SHORTEST = 4
_SECRET_NAME = re.compile(r"TOKEN|SECRET|PASSW|CREDENTIAL|AUTH|COOKIE|(?:\A|_)KEY(?:\Z|_|S)", re.IGNORECASE)
# As their owners write them: Hugging Face, GitHub, OpenAI and others, AWS, Google, Slack, Weights & Biases.
_TOKEN = re.compile(
    r"\b(?:hf_|gh[pousr]_|github_pat_|glpat-|sk-|AKIA|ASIA|AIza|ya29\.|xox[abprs]-)[A-Za-z0-9_.-]{8,}"
    r"|\b[0-9a-f]{40}\b|\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_.-]+|(?<=://)[^/\s@]+@"
)
# Said of any machine; somebody may have set a variable to it (`SHELL_NAME=bash`).
_ORDINARY = frozenset(
    {"python", "python3", "bash", "linux", "nvidia", "cuda", "colab", "jupyter", "slurm", "docker"}
    | {"tmpfs", "overlay", "true", "false", "none", "plain"}
)
# The version of a program is no secret, and images set variables to it.
_VERSION = re.compile(r"[0-9]+(?:\.[0-9]+){1,2}\Z")


class Scrubber:
    """Takes out of texts what is nobody's business. `homes` are the user's home folder, by all its names."""

    def __init__(
        self,
        environ: Mapping[str, str],
        *,
        homes: Collection[str],
        users: Collection[str],
        hosts: Collection[str],
    ) -> None:
        known = [(home.rstrip("/"), "~") for home in homes if len(home.rstrip("/")) > 1]
        secret = [value for name, value in environ.items() if _SECRET_NAME.search(name)]
        self._secrets = sorted((one for one in secret if len(one) >= _SHORTEST), key=len, reverse=True)
        values = [
            (value, f"${name}")
            for name, value in environ.items()
            if len(value) >= _SHORTEST and name != "_" and not _says_nothing(value) and value not in homes
        ]
        # The longest first: the state folder may lie in the home folder.
        self._values = sorted((*values, *known), key=lambda pair: len(pair[0]), reverse=True)
        self._names = [(_alone(name), USER) for name in users if name not in _ANYBODY]
        self._names += [(_alone(name), HOST) for name in hosts if name not in _ANYBODY]

    def row(self, row: Row) -> Row:
        """The same row, without."""
        return replace(row, found=self.text(row.found), fix=self.text(row.fix))

    def text(self, sentence: Text) -> Text:
        """What fills a sentence is looked at, and a text that is no sentence of ours."""
        if isinstance(sentence, str):
            return self.plain(sentence)
        return Words(
            sentence.template,
            tuple((name, self._field(value)) for name, value in sentence.fields),
            sentence.several,
            sentence.count,
        )

    def _field(self, value: object) -> object:
        return self.text(value) if isinstance(value, Words | str) else value

    def plain(self, text: str) -> str:
        """One text that is data."""
        for secret in self._secrets:
            text = text.replace(secret, MASK)
        for value, instead in self._values:
            text = instead.join(_whole(value).split(text))
        for pattern, instead in self._names:
            text = pattern.sub(instead, text)
        return _TOKEN.sub(MASK, text)


def _says_nothing(value: str) -> bool:
    return value.lower() in _ORDINARY or _VERSION.match(value) is not None


def _whole(value: str) -> re.Pattern[str]:
    """Not in the middle of a longer word: `/home/ann` is not in `/home/anna`."""
    return re.compile(rf"(?<![\w.]){re.escape(value)}(?![\w])")


def _alone(name: str) -> re.Pattern[str]:
    return re.compile(rf"(?<![A-Za-z0-9]){re.escape(name)}(?![A-Za-z0-9])")
