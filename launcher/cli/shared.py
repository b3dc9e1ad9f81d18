"""What the commands share: the words after `--`, the language, and how to print."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

from launcher.errors import NoProcess, UsageError
from launcher.i18n import OTHERS, Choice, by_locale, choose
from launcher.words import words

if TYPE_CHECKING:
    from launcher.cli.render import Screen
    from launcher.guard.watcher import Egg
    from launcher.report.lines import Paper


@dataclass(slots=True)
class Shared:
    """Made anew for each command line."""

    extra: tuple[str, ...] | None
    lang: str | None = None
    no_color: bool = False
    job_lang: str | None = None
    # The values of the job's secrets, as soon as they are known.
    secrets: tuple[str, ...] = ()
    # Where a language was named that is none of ours, that is said in the locale's.
    by_locale: bool = False
    # The guard that waits for a plan, where the front door has started one.
    egg: Egg | None = None
    _told: bool = False

    def guard(self) -> Egg:
        """The guard for a run. Raises NoProcess, and UsageError where jobs cannot run."""
        if sys.platform != "linux":
            raise UsageError(
                words("jobs run on Linux, and this is {system}", system=sys.platform),
                words(
                    "run it on the rented machine; here you can: {command}", command="colab-run check --on"
                ),
            )
        if self.egg is None:
            raise NoProcess(
                words("no process could be created for the guard of this run"),
                words("end something on this machine, then try again"),
            )
        return self.egg

    @property
    def choice(self) -> Choice:
        """The language. Raises UsageError where somebody named one that is none of ours."""
        if self.by_locale:
            return by_locale(os.environ)
        return choose(os.environ, option=self.lang, job=self.job_lang)

    @property
    def paper(self) -> Paper:
        """What screens are laid out on."""
        from launcher.report.lines import Paper

        return Paper(self.choice.translate, self.secrets)

    def screen(self, stream: str = "stderr") -> Screen:
        """Our own words on stdout or stderr."""
        from launcher.cli.render import Screen

        return Screen(
            getattr(sys, stream),
            no_color=self.no_color,
            paper=self.paper,
            last_line=self._languages,
            answer=stream == "stdout",
        )

    def _languages(self) -> str:
        """Once, on Colab, for a person who was given English without having asked for it."""
        on_colab = os.environ.get("TBE_RUNTIME_ADDR") or os.environ.get("COLAB_RELEASE_TAG")
        if self._told or not on_colab or self.choice.asked:
            return ""
        self._told = True
        return OTHERS
