"""Release by a shell command of the job file's author: exit code 0 is accepted, everything else is not.

The command runs in bash with the environment of the run and `COLAB_RUN_RELEASE_NONCE`, which is the same
for every attempt of one release. It may be run several times: until it ends with 0, and again when the
machine is still here.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from launcher.release.interface import STILL_HERE, Answer
from launcher.release.program import run, which
from launcher.words import listed, words

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from launcher.values import Reading
    from launcher.words import Text

NONCE = "COLAB_RUN_RELEASE_NONCE"
_LOOK_S = 3.0
# A first word that stands for itself; what is written in another way is bash's to understand.
_PLAIN = re.compile(r"\s*([A-Za-z0-9_./+-]+)(?:\s|\Z)")


@dataclass(frozen=True, slots=True)
class Command:
    """`command` is run by bash in `folder`; `secrets` are masked in what it says.

    `needs` are digests (with `salt`) of the variables that it named at the beginning of the run, None for one
    that was not set; `unlike` are those that this environment lacks, or has with another value.
    """

    command: str
    folder: str
    environ: Mapping[str, str] = field(repr=False)
    secrets: tuple[str, ...] = field(default=(), repr=False)
    needs: Mapping[str, str | None] = field(default_factory=dict, repr=False)
    salt: str = ""
    unlike: tuple[str, ...] = ()
    name: str = "command"
    # Command lines of clouds are slow to start, and some wait until the machine has stopped.
    patience: float = 12.0
    ends_the_bill: bool = True
    brings: tuple[int, ...] = (signal.SIGTERM,)

    @property
    def way(self) -> str:
        """One command is not another, nor the same in another folder or with other values."""
        return f"command:{json.dumps([self.command, self.folder, self.needs], sort_keys=True)}"

    def describe(self) -> Text:
        """The command as it is written."""
        return f"bash -c {shlex.quote(self.command)}"

    def hopeless(self) -> tuple[str, Text] | None:
        """It is not run with other values than those it was written for."""
        if not self.unlike:
            return None
        return "other-environment", words(
            "the release command needs {names} as the shell had it that started the run; the one that took "
            "the run over does not have that",
            names=listed(self.unlike),
        )

    def permission(self) -> Text:
        """Is it bash, and are its folder and its first program there? Nothing of it is run."""
        if not os.path.isdir(self.folder):
            return words("the folder {path} of the release command is not there", path=self.folder)
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
        """Run it where it belongs, else not at all; exit code 0 is success."""
        if not os.path.isdir(self.folder):
            return Answer(None, "no-folder", firm=True, said=self.folder)
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
        environ = {**self.environ, **({NONCE: nonce} if nonce else {})}
        return run(
            ["bash", *words],
            environ,
            deadline_s,
            folder=self.folder,
            meanwhile=meanwhile,
            secrets=self.secrets,
        )

    def gone(self, deadline_s: float, meanwhile: Callable[[], None]) -> Reading[bool]:
        """Only its author knows what it ends."""
        return STILL_HERE

    def as_json(self) -> dict[str, Any]:
        """The variables that it needs, with digests of their values."""
        return {"name": self.name, "folder": self.folder, "needs": dict(self.needs), "salt": self.salt}
