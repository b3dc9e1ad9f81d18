"""Heartbeats: from Python, from a shell, from the callbacks of three frameworks; never in a job's way."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import launcher
from helpers.cli import command
from launcher import beats
from launcher.idle.model import Life
from launcher.idle.sampler import moment_now
from launcher.idle.signals.marks import BeatSignal
from launcher.probes.life.beats import beat_reader
from launcher.release import place
from launcher.values import Known

if TYPE_CHECKING:
    from helpers.scene import Scene

NOBODY = 65534
PACKAGE = Path(launcher.__file__).parents[1]


def python(code: str, *words: str, path: Path | None = None, **env: str) -> subprocess.CompletedProcess[str]:
    """A program that could be a job: it has this launcher and, before all others, the modules in `path`."""
    before = f"{path}:" if path is not None else ""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("COLAB_")}
    return subprocess.run(
        [sys.executable, "-c", code, *words],
        env={**kept, "PYTHONPATH": f"{before}{PACKAGE}", **env},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_where_a_beat_is() -> None:
    """In a run it is the run's; elsewhere it lies where all runs of this machine meet."""
    assert beats.path_of_beat({"COLAB_RUN_DIR": "/runs/1"}, 7) == "/runs/1/beat"
    assert beats.path_of_beat({}, 7) == f"{place.FOLDER}/7.beat"
    assert beats.FOLDER == place.FOLDER


def test_a_job_beats_in_python_and_in_the_shell(scene: Scene) -> None:
    """Both touch the same file of the run, and that is life."""
    steps = (
        f"PYTHONPATH={PACKAGE} {sys.executable} -c 'import launcher; launcher.beat()'",
        'stat -c %i "$COLAB_RUN_DIR/beat" > first',
        'touch -d 1970-01-02 "$COLAB_RUN_DIR/beat"',
        " ".join(f"'{word}'" for word in (*command(), "beat")),
        'stat -c %i "$COLAB_RUN_DIR/beat" > second',
    )
    before = moment_now()
    ended = scene.run_job(f"run: |\n  set -e\n  export PYTHONPATH={PACKAGE}\n  " + "\n  ".join(steps) + "\n")
    assert ended.code == 0, ended.err
    assert (scene.work / "first").read_text() == (scene.work / "second").read_text()
    (path,) = scene.home.glob("runs/*/beat")
    now = moment_now()
    said = BeatSignal().take(beat_reader((str(path),))(), now)
    assert isinstance(said, Known)
    assert before.at - 0.1 <= said.value.last_alive <= now.at


def test_at_most_one_touch_a_second(tmp_path: Path) -> None:
    """However often a loop beats."""
    code = (
        "import os, sys, time, launcher\n"
        "path, start, touched = os.environ['COLAB_RUN_DIR'] + '/beat', time.monotonic(), 0\n"
        "for _ in range(20000):\n"
        "    launcher.beat()\n"
        "    if os.stat(path).st_mtime:\n"
        "        touched += 1\n"
        "        os.utime(path, (0, 0))\n"
        "print(touched, time.monotonic() - start)\n"
    )
    done = python(code, COLAB_RUN_DIR=str(tmp_path))
    touched, seconds = map(float, done.stdout.split())
    assert 1 <= touched <= seconds + 1, done.stderr


def test_a_beat_never_raises(tmp_path: Path) -> None:
    """The folder is gone, or its name is no name: the job goes on, and is told once."""
    code = (
        "import launcher, launcher.beats\n"
        "for _ in range(3):\n"
        "    launcher.beats._due = 0.0\n"
        "    launcher.beat()\n"
        "print('on')"
    )
    for folder in (tmp_path / "gone", tmp_path / ("a" * 5000)):
        done = python(code, COLAB_RUN_DIR=str(folder))
        assert done.stdout == "on\n"
        assert done.stderr.count("RuntimeWarning: colab-run: no heartbeat can be written: ") == 1
        done = python(f"import warnings; warnings.simplefilter('error')\n{code}", COLAB_RUN_DIR=str(folder))
        assert (done.stdout, done.stderr) == ("on\n", "")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be two users")
@pytest.mark.parametrize("kind", ["file", "folder", "pipe", "link"])
def test_what_another_user_made_keeps_nobody_from_beating(tmp_path: Path, kind: str) -> None:
    """Nor does it count as a beat of ours."""
    folder = tmp_path / "leases"
    folder.mkdir()
    folder.chmod(0o1777)
    path = folder / "0.beat"
    {
        "file": path.touch,
        "folder": path.mkdir,
        "pipe": lambda: os.mkfifo(path),
        "link": lambda: path.symlink_to(folder / "elsewhere"),
    }[kind]()
    os.lchown(path, NOBODY, NOBODY)
    read = beat_reader((str(path),))
    assert read() == Known({"beat": None})
    first = beats.touch(str(path), shared=str(folder))
    assert first.startswith(f"{path}.")
    assert beats.touch(str(path), shared=str(folder)) == first
    assert read() == Known({"beat": os.stat(first).st_mtime})
    assert not (folder / "elsewhere").exists()
    # Root's count for all, and nobody else's.
    assert beat_reader((str(path),), uid=5)() == read()
    os.lchown(first, 6, 6)
    assert beat_reader((str(path),), uid=5)() == Known({"beat": None})


def test_a_beat_of_the_future_hides_none_of_now(tmp_path: Path) -> None:
    """The clock was set back; what beats now is seen."""
    now = time.time()
    for name, at in (("one", now + 6 * 3600), ("two", now - 5)):
        (tmp_path / name).touch()
        os.utime(tmp_path / name, (at, at))
    said = beat_reader((str(tmp_path / "one"), str(tmp_path / "two")))()
    assert said == Known({"beat": pytest.approx(now - 5, abs=0.001)})


def test_what_is_no_file_of_ours_is_left_alone(tmp_path: Path) -> None:
    """A link and a pipe that somebody put there: refused, at once; what the link leads to is not touched."""
    target, link, pipe = tmp_path / "target", tmp_path / "link", tmp_path / "pipe"
    target.write_text("")
    os.utime(target, (0, 0))
    link.symlink_to(target)
    os.mkfifo(pipe)
    for path in (link, pipe):
        with pytest.raises(OSError, match=path.name):
            beats.touch(str(path))
    assert target.stat().st_mtime == 0
    through = tmp_path / "elsewhere"
    through.symlink_to(tmp_path)
    with pytest.raises(OSError, match="elsewhere"):
        beats.touch(f"{through}/0.beat", shared=str(through))


def test_the_shared_folder_is_for_all(tmp_path: Path) -> None:
    """Made as the leases make it, whatever the umask."""
    folder = tmp_path / "leases"
    done = python(
        "import os, sys; os.umask(0o77); from launcher import beats\n"
        "beats.touch(sys.argv[1] + '/0.beat', shared=sys.argv[1])",
        str(folder),
    )
    assert done.stderr == ""
    assert stat.S_IMODE(folder.stat().st_mode) == 0o1777
    assert (folder / "0.beat").is_file()


# --- the command ----------------------------------------------------------------------------------


def test_the_command_says_nothing_and_loads_nothing(tmp_path: Path) -> None:
    """It stands in loops: no word, and no library before it is done."""
    done = python(
        "import sys; from launcher.__main__ import main; code = main(['beat'])\n"
        "print(code, sorted({'typer', 'argparse', 'launcher.cli', 'json', 'typing'} & set(sys.modules)))",
        COLAB_RUN_DIR=str(tmp_path),
    )
    assert done.stdout.split(" ", 1)[0] == "0"
    assert not any(name in done.stdout for name in ("typer", "launcher.cli", "argparse")), done.stdout
    assert (tmp_path / "beat").is_file()


def test_the_command_tells_when_asked(scene: Scene, tmp_path: Path) -> None:
    """With --json: where and when; help as everywhere; and words that it does not know are refused."""
    ended = scene.run("beat", "--json", env={"COLAB_RUN_DIR": str(tmp_path), "COLAB_RUN_ID": "x"})
    assert ended.code == 0
    assert ended.document["beat"] == str(tmp_path / "beat")
    assert (ended.document["run_id"], ended.document["schema_version"]) == ("x", 1)
    assert abs((tmp_path / "beat").stat().st_mtime - time.time()) < 60
    assert "Usage: colab-run beat" in scene.run("beat", "--help").out
    assert scene.run("beat", "now").code == 64


def test_a_beat_that_cannot_be_written_is_73(scene: Scene, tmp_path: Path) -> None:
    """Unlike the function, the command says so."""
    gone = {"COLAB_RUN_DIR": str(tmp_path / "gone")}
    ended = scene.run("beat", env=gone)
    assert (ended.code, "gone/beat" in "".join(ended.err.split())) == (73, True), ended.err
    ended = scene.run("beat", "--json", env=gone)
    assert (ended.code, json.loads(ended.out)["exit_code"]) == (73, 73)


# --- callbacks ------------------------------------------------------------------------------------

# Where each framework keeps the class, as far as a callback needs it.
FRAMEWORKS = {
    "trainer_callback": ("transformers", "TrainerCallback"),
    "lightning_callback": ("lightning.pytorch", "Callback"),
    "keras_callback": ("keras.callbacks", "Callback"),
}
EVENTS = [
    *(("trainer_callback", event) for event in ("on_step_end", "on_substep_end", "on_prediction_step")),
    *(("lightning_callback", f"on_{step}_batch_end") for step in ("train", "validation", "test", "predict")),
    *(("keras_callback", f"on_{step}_batch_end") for step in ("train", "test", "predict")),
]
CALLING = """
import importlib, os, pickle, sys
import launcher.beats
maker, module, name, event = sys.argv[1:]
callback = getattr(launcher.beats, maker)()
base = getattr(importlib.import_module(module), name)
assert isinstance(callback, base), type(callback).__mro__
assert callback.on_train_begin() == "the base's own"
assert isinstance(pickle.loads(pickle.dumps(callback)), base)
assert not os.path.exists(os.environ["COLAB_RUN_DIR"] + "/beat")
assert getattr(callback, event)(1, 2, three=3) is None
"""


def stand_in(folder: Path, module: str, name: str) -> None:
    """A module of that name with a class that a callback can be made of."""
    *packages, last = module.split(".")
    for package in packages:
        folder = folder / package
        folder.mkdir()
        (folder / "__init__.py").write_text("")
    (folder / f"{last}.py").write_text(
        f'class {name}:\n    def on_train_begin(self):\n        return "the base\'s own"\n'
    )


@pytest.mark.parametrize(("maker", "event"), EVENTS)
def test_callbacks_beat(maker: str, event: str, tmp_path: Path) -> None:
    """A callback is one of its framework's, can go to another process, and beats at each batch."""
    stand_in(tmp_path, *FRAMEWORKS[maker])
    done = python(CALLING, maker, *FRAMEWORKS[maker], event, path=tmp_path, COLAB_RUN_DIR=str(tmp_path))
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "beat").is_file()


def test_the_package_that_the_job_imported_counts(tmp_path: Path) -> None:
    """Lightning comes in two packages, and a callback of the one is none of the other."""
    stand_in(tmp_path, "lightning.pytorch", "Callback")
    stand_in(tmp_path, "pytorch_lightning", "Callback")
    code = (
        "import pytorch_lightning, launcher.beats\n"
        "print(isinstance(launcher.beats.lightning_callback(), pytorch_lightning.Callback))"
    )
    assert python(code, path=tmp_path).stdout == "True\n"


def test_what_is_not_installed_is_said(tmp_path: Path) -> None:
    """By the names of what would do; and what is there but broken says what it lacks."""
    code = "import sys, launcher.beats; sys.modules.update(keras=None); launcher.beats.keras_callback()"
    assert "ModuleNotFoundError" in python(code, path=tmp_path).stderr
    (tmp_path / "transformers.py").write_text("import something_else_that_is_missing\n")
    done = python("import launcher.beats; launcher.beats.trainer_callback()", path=tmp_path)
    assert "something_else_that_is_missing" in done.stderr.splitlines()[-1]


# --- the reader and the signal --------------------------------------------------------------------


def test_the_newest_beat_counts(tmp_path: Path) -> None:
    """Of several files; without any there is no such sign, and a link is none."""
    old, new, link = tmp_path / "old", tmp_path / "new", tmp_path / "link"
    read, signal = beat_reader((str(new), str(old), str(link), str(tmp_path / "no" / "such"))), BeatSignal()
    link.symlink_to(__file__)
    assert read() == Known({"beat": None})
    assert signal.take(read(), moment_now()) is None
    now = moment_now()
    for path, ago in ((old, 500.0), (new, 100.0)):
        path.write_text("")
        os.utime(path, (now.wall - ago,) * 2)
    said = signal.take(read(), now)
    assert isinstance(said, Known)
    assert said.value.last_alive == pytest.approx(now.at - 100.0, abs=0.001)
    new.unlink()
    assert signal.take(read(), now) == Known(Life(said.value.last_alive))
