"""Release by a shell command of the job file's author: exit code 0 is accepted, everything else is not.

The command runs in bash with the environment of the run and `COLAB_RUN_RELEASE_NONCE`, which is the same
for every attempt of one release. It may be run several times: until it ends with 0, and again when the
machine is still here.
"""

from __future__ import annotations

import os
import re
import signal
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from launcher.release.interface import STILL_HERE, Answer
from launcher.release.program import run, which
from launcher.words import listed, words

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from launcher.values import Reading
    from launcher.words import Text

NONCE = "COLAB_RUN_RELEASE_NONCE"
_LOOK_S = 3.0
# A first word that stands for itself; what is written in another way is bash's to understand.
_PLAIN = re.compile(r"\s*([A-Za-z0-9_./+-]+)(?:\s|\Z)")
_VARIABLE = re.compile(r"\$\{?([A-Za-z_][A-Za-z0-9_]*)")


@dataclass(frozen=True, slots=True)
class Command:
    """`command` is run by bash in `folder`; `secrets` are masked in what it says.

    `missing` are variables that it had at the beginning of the run, and this environment does not have.
    """

    command: str
    folder: str
    environ: Mapping[str, str] = field(repr=False)
    secrets: tuple[str, ...] = field(default=(), repr=False)
    missing: tuple[str, ...] = ()
    name: str = "command"
    # Command lines of clouds are slow to start, and some wait until the machine has stopped.
    patience: float = 12.0
    ends_the_bill: bool = True
    brings: tuple[int, ...] = (signal.SIGTERM,)

    @property
    def way(self) -> str:
        """One command is not another."""
        return f"command:{self.command}"

    def describe(self) -> Text:
        """The command as it is written."""
        return f"bash -c '{self.command}'"

    def hopeless(self) -> tuple[str, Text] | None:
        """It is not run without the variables that it was written for."""
        if not self.missing:
            return None
        names = listed(self.missing)
        return "other-environment", words(
            "the release command needs {names}, which the shell that took the run over does not have",
            names=names,
        )

    def permission(self) -> Text:
        """Is it bash, and is its first program there? Nothing of it is run."""
        if which("bash", self.environ) is None:
            return words("{program} is not on the PATH", program="bash")
        checked = self._bash(["-n", "-c", self.command], _LOOK_S)
        if checked.code not in (0, None):
            return words("bash cannot read the command: {why}", why=checked.said)
        first = _PLAIN.match(self.command)
        if first and self._bash(["-c", 'type -t -- "$1"', "bash", first[1]], _LOOK_S).code not in (0, None):
            return words("{program} is not on the PATH", program=first[1])
        return ""

    def ask(self, nonce: str, deadline_s: float, meanwhile: Callable[[], None]) -> Answer:
        """Run it; exit code 0 is success."""
        ran = self._bash(["-c", self.command], deadline_s, nonce=nonce, meanwhile=meanwhile)
        return Answer(None, ran.reason, accepted=ran.code == 0, said=ran.said)

    def _bash(
        self,
        words: list[str],
        deadline_s: float,
        *,
        nonce: str = "",
        meanwhile: Callable[[], None] = lambda: None,
    ) -> Any:
        # Drive may have been unmounted meanwhile, and the job's folder with it.
        folder = self.folder if os.path.isdir(self.folder) else "/"
        environ = {**self.environ, **({NONCE: nonce} if nonce else {})}
        return run(
            ["bash", *words], environ, deadline_s, folder=folder, meanwhile=meanwhile, secrets=self.secrets
        )

    def gone(self, deadline_s: float, meanwhile: Callable[[], None]) -> Reading[bool]:
        """Only its author knows what it ends."""
        return STILL_HERE

    def as_json(self) -> dict[str, Any]:
        """The names of the variables that it needs, not their values."""
        return {"name": self.name, "folder": self.folder, "needs": list(needs(self.command, self.environ))}


def needs(command: str, environ: Collection[str]) -> tuple[str, ...]:
    """The variables of the environment that a command refers to, in order."""
    return tuple(dict.fromkeys(name for name in _VARIABLE.findall(command) if name in environ))
