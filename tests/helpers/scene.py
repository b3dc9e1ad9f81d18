"""A managed runtime for one test: a folder, a job file, a release endpoint, and what must hold at the end."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time
import uuid
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from helpers.cli import command
from helpers.endpoint import COOKIE, Endpoint, processes_of
from helpers.leases import forget_holds_of, forget_runs_of, forget_target
from launcher.catalog.files import find_configs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PATIENCE_S = 20.0


def until(condition: Callable[[], Any], what: str) -> Any:
    """Wait for a condition, by looking; fail with `what` after PATIENCE_S."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        if value := condition():
            return value
        assert time.monotonic() < deadline, f"not seen in {PATIENCE_S:g} s: {what}"
        time.sleep(0.005)


def fast_configs(folder: Path) -> Path:
    """The real configs with the release's waits made short, so that a dead endpoint costs 2 s, not 5 min.

    An attempt may take as long as in earnest: a busy machine is to ask once. See `Scene.ask_in`.
    """
    target = folder / "configs"
    shutil.copytree(find_configs({}), target)
    colab = target / "platforms" / "colab.yaml"
    text = colab.read_text(encoding="utf-8")
    for slow, fast in (
        ("first_wait: 1s", "first_wait: 0.05s"),
        ("longest_wait: 30s", "longest_wait: 0.2s"),
        ("give_up_after: 5m", "give_up_after: 2s"),
    ):
        assert slow in text, f"{slow} is not in {colab}"
        text = text.replace(slow, fast)
    colab.write_text(text, encoding="utf-8")
    return target


@dataclass
class Ended:
    """How one command ended."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> dict[str, Any]:
        """The JSON document on stdout."""
        return json.loads(self.out)


@dataclass
class Scene:
    """One test's world. `env` is what the command sees; `managed()` adds the endpoint to it."""

    folder: Path
    cookie: str = field(default_factory=lambda: uuid.uuid4().hex)

    def __post_init__(self) -> None:
        self.work = self.folder / "work"
        self.home = self.folder / "home"
        self.work.mkdir()
        kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "LC_ALL") if name in os.environ}
        self.env = {
            **kept,
            "COLAB_RUN_HOME": str(self.home),
            "COLAB_RUN_CONFIGS": str(fast_configs(self.folder)),
            COOKIE: self.cookie,
        }

    @contextmanager
    def managed(self, *script: object) -> Iterator[Endpoint]:
        """A managed Colab VM whose endpoint answers with `script` (200 for ever if empty)."""
        with Endpoint(self.cookie, list(script) or [200]) as endpoint:
            forget_target(endpoint.address)
            self.env["TBE_RUNTIME_ADDR"] = endpoint.address
            yield endpoint
            # The invariant of every scene: no request while a process of the job lived.
            assert [request.alive for request in endpoint.requests] == [[]] * len(endpoint.requests)

    def ask_in(self, attempt: str, give_up: str = "2s") -> None:
        """So long an attempt to release may take, for an endpoint that does not come to an end; and all."""
        colab = self.folder / "configs" / "platforms" / "colab.yaml"
        text = colab.read_text(encoding="utf-8")
        assert "attempt_timeout: 10s" in text
        text = text.replace("attempt_timeout: 10s", f"attempt_timeout: {attempt}")
        colab.write_text(text.replace("give_up_after: 2s", f"give_up_after: {give_up}"), encoding="utf-8")

    def write_job(self, text: str, name: str = "job.yaml") -> str:
        """Write a job file into the work folder; its name."""
        (self.work / name).write_text(text, encoding="utf-8")
        return name

    def start(self, *words: str, **options: Any) -> subprocess.Popen[str]:
        """Start the command with these words, itself behind those of `before`."""
        pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        return subprocess.Popen(
            [*options.pop("before", ()), *command(), *words],
            cwd=self.work,
            env={**self.env, **options.pop("env", {})},
            text=True,
            **{**pipes, **options},
        )

    def run(self, *words: str, **options: Any) -> Ended:
        """Run the command with these words to its end."""
        return self.end(self.start(*words, **options))

    def end(self, process: subprocess.Popen[str]) -> Ended:
        """Wait for a started command; kill it if it outlasts all patience."""
        try:
            out, err = process.communicate(timeout=60)
        except subprocess.TimeoutExpired:
            process.kill()
            raise
        return Ended(process.returncode, out or "", err or "")

    def run_job(self, text: str, *words: str, **options: Any) -> Ended:
        """Write a job file and run it."""
        return self.run("run", self.write_job(text), *words, **options)

    def results(self) -> list[dict[str, Any]]:
        """The result.json of every run in the state folder, oldest first."""
        return [json.loads(path.read_text()) for path in sorted(self.home.glob("runs/*/result.json"))]

    def logs(self) -> list[bytes]:
        """The log of every run, oldest first."""
        return [path.read_bytes() for path in sorted(self.home.glob("runs/*/log"))]

    def leftovers(self) -> list[int]:
        """Everything that this scene started and that still lives, ours included."""
        return processes_of(self.cookie, of_job=False)

    def guards(self) -> list[int]:
        """The guards of this scene; a helper that a guard has just forked still bears its name."""
        named = [pid for pid in self.leftovers() if _name(pid) == "colab-run-guard"]
        return [pid for pid in named if _parent(pid) not in (0, *named)]

    def vanish(self) -> None:
        """The machine goes, with everything on it but the folders of this test."""
        for pid in self.leftovers():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        until(lambda: not self.leftovers(), "the end of everything")
        forget_runs_of(self.folder)

    def close(self) -> None:
        """Nothing may be left but guards that have a reason to wait; what else is left is told.

        A guard without a reason ends a moment after its client: when it has written down the end.
        """
        deadline = time.monotonic() + PATIENCE_S
        while self._without_reason() and time.monotonic() < deadline:
            time.sleep(0.005)
        told = [(pid, _name(pid)) for pid in self._without_reason()]
        self.vanish()
        forget_holds_of(self.folder)
        assert told == [], f"processes left behind: {told}"

    def _without_reason(self) -> list[int]:
        documents = [json.loads(path.read_text()) for path in self.folder.glob("**/runs/*/result.json")]
        if any(document["release"]["status"] in MAY_WAIT for document in documents):
            return [pid for pid in self.leftovers() if _name(pid) not in OURS]
        return self.leftovers()


# What the guard of a run may wait for when its client has gone: a machine that does not go, a reason
# that holds the release, an endpoint that accepts nothing.
MAY_WAIT = ("accepted", "held", "failed")
OURS = ("colab-run-watch", "colab-run-guard")


def _parent(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return 0


def _name(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return ""
