"""A managed runtime for one test: a folder, a job file, a release endpoint, and what must hold at the end."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time
import uuid
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from helpers.cli import command
from helpers.endpoint import COOKIE, Endpoint, processes_of
from launcher.catalog.files import find_configs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

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
    """The real configs with the release's waits made short, so that a dead endpoint costs 2 s, not 5 min."""
    target = folder / "configs"
    shutil.copytree(find_configs({}), target)
    colab = target / "platforms" / "colab.yaml"
    text = colab.read_text(encoding="utf-8")
    for slow, fast in (
        ("attempt_timeout: 10s", "attempt_timeout: 0.5s"),
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
            self.env["TBE_RUNTIME_ADDR"] = endpoint.address
            yield endpoint
            # The invariant of every scene: no request while a process of the job lived.
            assert [request.alive for request in endpoint.requests] == [[]] * len(endpoint.requests)

    def write_job(self, text: str, name: str = "job.yaml") -> str:
        """Write a job file into the work folder; its name."""
        (self.work / name).write_text(text, encoding="utf-8")
        return name

    def start(self, *words: str, **options: Any) -> subprocess.Popen[str]:
        """Start the command with these words."""
        pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        return subprocess.Popen(
            [*command(), *words],
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

    def close(self) -> None:
        """Nothing may be left; what is left is ended so that it harms no other test, and told."""
        left = self.leftovers()
        for pid in left:
            os.kill(pid, signal.SIGKILL)
        assert left == [], f"processes left behind: {left}"
