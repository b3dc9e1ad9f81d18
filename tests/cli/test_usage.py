"""Bad usage: exit code 64, what is wrong, and the line to type instead; nothing started."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

import pytest

from helpers.cli import command

if TYPE_CHECKING:
    from helpers.scene import Scene

USAGE = [
    # words, what the message names
    ("", "Usage: colab-run"),
    ("nosuch.yaml", "there is no job file nosuch.yaml"),
    ("jub.yaml", "use job.yaml"),
    ("run", "JOB"),
    ("run job.yaml --nonsense", "--nonsense"),
    ("job.yaml two.yaml", "there is no job file two.yaml"),
    ("train.py", "colab-run exec -- python train.py"),
    ("train.ipynb", "colab-run exec -- jupyter nbconvert"),
    ("check", "JOB"),
    ("check job.yaml -- --lr 3", "belong to a job"),
    ("exec", "colab-run exec --gpu T4 -- python train.py"),
    ("exec --gpu A1000 -- true", "use `A100`"),
    ("exec --ram 50 -- true", "50GB"),
    ("exec --max-duration 0s -- true", "--max-duration"),
    ("exec --cpus -1 -- true", "--cpus"),
    ("run job.yaml --set ram", "KEY=VALUE"),
    ("run job.yaml --result /nowhere/at/all.json", "/nowhere/at/all.json"),
    ("run job.yaml --result job.yaml", "is the job file"),
    ("run job.yaml --result /dev/null", "not a regular file"),
    ("chekc job.yaml", "colab-run check job.yaml"),
    ("submit job.yaml", "not available yet"),
    ("watch", "colab-run watch --idle 30m"),
    ("job.yaml --wait soon", "--wait"),
    ("logs", "ID"),
    ("wait last --timeout 30", "--timeout 30 is no time"),
    ("keep soon", "write a number with a unit"),
    ("keep 30m --drop", "colab-run keep --drop"),
    ("--lang zh-TW nosuch.yaml", "沒有工作檔 nosuch.yaml"),
    ("explain CR999", "there is no code CR999"),
    ("--lang xx job.yaml", "is not a supported language"),
    (".", "Is a directory"),
]


@pytest.mark.parametrize(("words", "named"), USAGE)
def test_bad_usage_is_64(scene: Scene, words: str, named: str) -> None:
    """64, with the place and the way on, and without a traceback."""
    scene.write_job("run: touch started\n")
    ended = scene.run(*words.split())
    text = " ".join((ended.out + ended.err).split())
    assert (ended.code, named in text) == (64, True), text
    assert "Traceback" not in text
    assert not (scene.work / "started").exists()
    assert scene.results() == []


def test_extra_words_need_one_line(scene: Scene) -> None:
    """Arguments after -- belong to the one line of `run`; a script of several lines has no place for them."""
    ended = scene.run_job("run: |\n  touch started\n  true\n", "--", "--lr", "3")
    assert ended.code == 64
    assert not (scene.work / "started").exists()


def test_a_pipe_as_job_file_does_not_hang(scene: Scene) -> None:
    """A FIFO that nobody writes to is answered at once."""
    os.mkfifo(scene.work / "job.yaml")
    assert scene.run("run", "job.yaml").code == 64


def test_a_closed_reader_does_not_change_the_code(scene: Scene) -> None:
    """`colab-run probe | true`: no traceback, no 120."""
    line = " ".join(f"'{word}'" for word in command())
    piped = subprocess.run(
        ["bash", "-c", f"{line} probe --json | true; echo ${{PIPESTATUS[0]}}"],
        env=scene.env,
        capture_output=True,
        text=True,
    )
    assert (piped.stdout.strip(), piped.stderr) == ("0", "")


def test_closed_descriptors_do_not_swallow_the_output(scene: Scene) -> None:
    """Started without stdin, stdout and stderr (cron, some supervisors), the job still runs and is logged."""
    job = scene.write_job("run: echo heard\n")
    line = " ".join(f"'{word}'" for word in [*command(), "run", job])
    ended = subprocess.run(["bash", "-c", f"{line} <&- >&- 2>&-"], env=scene.env, cwd=scene.work)
    assert ended.returncode == 0
    assert scene.logs() == [b"heard\n"]


@pytest.mark.parametrize(
    "words",
    [
        "catalog",
        "catalog --json",
        "check job.yaml",
        "check job.yaml --json",
        "explain 69",
        "probe",
        "ps",
        "ps --json",
    ],
)
def test_an_answer_that_is_lost_is_not_0(scene: Scene, words: str) -> None:
    """A full disk is told, and a script does not take nothing for an empty answer."""
    if not os.path.exists("/dev/full"):
        pytest.skip("no /dev/full")
    scene.write_job("run: 'true'\n")
    with open("/dev/full", "w", encoding="utf-8") as full:
        ended = scene.run(*words.split(), stdout=full)
    assert (ended.code, "No space left on device" in ended.err) == (70, True), ended.err
    assert "Traceback" not in ended.err


def test_a_job_keeps_its_code_where_its_document_is_lost(scene: Scene) -> None:
    """It ran, and what it came to is its code; the loss is told."""
    if not os.path.exists("/dev/full"):
        pytest.skip("no /dev/full")
    scene.write_job("run: exit 3\n")
    with open("/dev/full", "w", encoding="utf-8") as full:
        ended = scene.run("run", "job.yaml", "--json", stdout=full)
    assert (ended.code, "could not be written" in ended.err) == (3, True), ended.err
