"""examples/checkpoints does what its README says, with the README's own commands."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import textwrap
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from helpers.endpoint import COOKIE, processes_of
from helpers.kills import states
from helpers.leases import forget_runs_of
from helpers.scene import until

if TYPE_CHECKING:
    from collections.abc import Iterator

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "checkpoints"
COMMAND = """#!{python}
import sys
from launcher.__main__ import main
sys.exit(main())
"""
# As pkill, but only among what this test has started. argv: -9 -f PATTERN.
PKILL = """#!{python}
import os, re, sys
sys.path.insert(0, {tests!r})
from helpers.endpoint import processes_of
assert sys.argv[1:3] == ["-9", "-f"], sys.argv
for pid in processes_of({cookie!r}, of_job=False):
    try:
        line = open(f"/proc/{{pid}}/cmdline", "rb").read().replace(b"\\0", b" ").decode()
        if pid != os.getpid() and re.search(sys.argv[3], line):
            os.kill(pid, 9)
    except OSError:
        pass
"""


@dataclass
class Clone:
    """A fresh clone of the repository, as far as this example needs it."""

    folder: Path
    env: dict[str, str]
    cookie: str

    @property
    def example(self) -> Path:
        """Its folder."""
        return self.folder / "examples" / "checkpoints"

    def epochs(self, place: str) -> list[str]:
        """The checkpoints in `checkpoints` or `saved/checkpoints`."""
        return sorted(path.name for path in (self.example / place).glob("epoch-*.json"))

    def start(self, command: str) -> subprocess.Popen[str]:
        """A line of the README, as a shell takes it."""
        return subprocess.Popen(
            ["sh", "-c", command],
            cwd=self.folder,
            env=self.env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, command: str) -> tuple[int, str, str]:
        """Its exit code, and what it said."""
        process = self.start(command)
        out, err = process.communicate(timeout=120)
        return process.returncode, out, err


@pytest.fixture
def clone(tmp_path: Path) -> Iterator[Clone]:
    """Whatever the README kills, it kills only here."""
    ignored = shutil.ignore_patterns("checkpoints", "saved", "__pycache__")
    folder = tmp_path / "clone"
    shutil.copytree(EXAMPLE, folder / "examples" / "checkpoints", ignore=ignored)
    cookie, tools = os.urandom(8).hex(), tmp_path / "bin"
    tools.mkdir()
    tests = str(Path(__file__).resolve().parents[1])
    for name, text in (("pkill", PKILL), ("colab-run", COMMAND)):
        (tools / name).write_text(text.format(python=sys.executable, tests=tests, cookie=cookie))
        (tools / name).chmod(0o755)
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("COLAB_", "TBE_"))}
    env = kept | {
        "PATH": f"{tools}{os.pathsep}{os.environ['PATH']}",
        "COLAB_RUN_HOME": str(tmp_path / "home"),
        COOKIE: cookie,
    }
    yield Clone(folder, env, cookie)
    for pid in processes_of(cookie, of_job=False):
        with suppress(ProcessLookupError):
            os.kill(pid, 9)
    forget_runs_of(tmp_path)


def blocks() -> list[str]:
    """The commands of the README, block by block."""
    text = (EXAMPLE / "README.md").read_text(encoding="utf-8")
    return [textwrap.dedent(block).strip() for block in re.findall(r"```\n(.*?)```", text, re.DOTALL)]


def test_a_training_that_was_killed_goes_on(clone: Clone) -> None:
    """Kill everything and lose the checkpoints, as the README says: the next run restores, and ends well."""
    start, kill_and_again = blocks()
    first = clone.start(start)
    manifest = lambda: states.manifest_of(clone.example / "saved", "checkpoints")  # noqa: E731
    until(manifest, "the first save")
    kill, again = kill_and_again.splitlines()
    code, out, err = clone.run(kill)
    assert (code, out, err) == (0, "", "")
    first.communicate(timeout=30)
    until(lambda: processes_of(clone.cookie, of_job=False) == [], "their end")
    assert not (clone.example / "checkpoints").exists()
    whole = manifest()
    assert whole is not None
    assert states.promised(whole) == states.there(clone.example / "saved", "checkpoints", whole)
    last = max(row["path"] for row in whole["files"])
    epoch = int(last.removeprefix("epoch-").removesuffix(".json"))

    code, out, err = clone.run(f"{again} -- --seconds 0")
    assert code == 0, err
    assert whole["run_id"] in err
    assert out.startswith(f"going on after epoch {epoch} (resumed: 1)\nepoch {epoch + 1}: loss ")
    assert out.endswith("\nslope 3.01, offset -1.99\n")
    assert (
        clone.epochs("checkpoints") == clone.epochs("saved/checkpoints")[-len(clone.epochs("checkpoints")) :]
    )
    assert clone.epochs("checkpoints")[-1] == "epoch-00060.json"

    code, out, err = clone.run("colab-run history examples/checkpoints/job.yaml")
    assert code == 0, err
    assert f"resumed from {whole['run_id']}" in " ".join(out.split())


def test_only_whole_checkpoints_are_saved(clone: Clone) -> None:
    """What is unfinished, and what the job removes, is no part of what is restored."""
    code, _, err = clone.run("colab-run examples/checkpoints/job.yaml -- --epochs 50 --seconds 0")
    assert code == 0, err
    manifest = states.manifest_of(clone.example / "saved", "checkpoints")
    assert manifest is not None
    assert states.promised(manifest) == states.state_of(clone.example / "checkpoints")
    assert len(manifest["files"]) == 40
    files = [clone.example / "saved" / "checkpoints" / row["path"] for row in manifest["files"]]
    assert [json.loads(path.read_text())["epoch"] for path in sorted(files)] == list(range(11, 51))


def test_a_resumed_training_is_the_same_training(clone: Clone) -> None:
    """The same steps, whether it was interrupted or not: the model is the same in the end."""
    folder = clone.example
    script = [sys.executable, "train.py", "--seconds", "0"]
    subprocess.run([*script, "--epochs", "30"], cwd=folder, check=True, capture_output=True)
    subprocess.run([*script, "--epochs", "60"], cwd=folder, check=True, capture_output=True)
    resumed = (folder / "checkpoints" / "epoch-00060.json").read_text()
    shutil.rmtree(folder / "checkpoints")
    subprocess.run([*script, "--epochs", "60"], cwd=folder, check=True, capture_output=True)
    assert (folder / "checkpoints" / "epoch-00060.json").read_text() == resumed
