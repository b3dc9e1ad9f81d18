"""Outputs of `colab-run watch`: nothing goes that was not saved, and nobody who is at work by then."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

from helpers.scene import PATIENCE_S, until
from helpers.watches import in_a_house, kept, released, start, watches

if TYPE_CHECKING:
    from pathlib import Path

    from helpers.house import House
    from helpers.scene import Scene

NOW = ("--idle", "2s", "--grace", "0s")
# Outputs are files; nothing else happens in a house.
FILES = ("--ignore", "cpu,disk,network,terminals,beat")
NO_FILES = ("--ignore", "files,disk,network,terminals")
NO_RELEASE = 69
# Lets the copy end when it has been at work for longer than a look takes.
BEGINS_LATE = """
while not os.path.exists('begun'): time.sleep(.01)
end = time.process_time() + .5
while time.process_time() < end: pass
open('go', 'w')
while True: pass
"""


def _slow(scene: Scene) -> str:
    """A target that has taken its copy when `begun` is there, and is done when `go` is."""
    (scene.folder / "safe").mkdir()
    work = scene.work
    copy = f"cp -r {{path}} {scene.folder}/safe/ && touch {work}/begun"
    return f"command:{copy} && until [ -e {work}/go ]; do sleep 0.05; done"


def _output(scene: Scene) -> Path:
    folder = scene.work / "out"
    folder.mkdir()
    (folder / "model").write_text("weights")
    return folder


@in_a_house
def test_what_is_written_during_the_save_is_saved_too(home: House) -> None:
    """A file that comes after the copy was made: the machine goes only when it has been saved as well."""
    folder = _output(home)
    with home.managed() as endpoint:
        start(home, *NOW, *FILES, "--output", f"out={_slow(home)}")
        until((home.work / "begun").exists, "the save")
        (folder / "late").write_text("precious")
        (home.work / "go").touch()
        released(endpoint)
        assert (home.folder / "safe" / "out" / "late").read_text() == "precious"


@in_a_house
def test_what_is_written_in_the_countdown_is_saved_too(home: House) -> None:
    """Also where no look at files has come to it yet: the outputs are listed right before the request."""
    folder, safe = _output(home), home.folder / "safe"
    with home.managed() as endpoint:
        start(home, "--idle", "2s", "--grace", "5s", *NO_FILES, "--output", f"out={safe}")
        until(lambda: home.results()[0]["state"] == "releasing", "the countdown")
        (folder / "late").write_text("precious")
        released(endpoint)
        assert (safe / "out" / "late").read_text() == "precious"


@in_a_house
def test_who_begins_to_work_during_the_save_keeps_it(home: House) -> None:
    """Without a countdown, too."""
    _output(home)
    work = ("-c", f"import os, time\nos.chdir({str(home.work)!r})\n{BEGINS_LATE}")
    with home.managed() as endpoint, home.tenant(sys.executable, *work):
        start(home, *NOW, "--ignore", "network,terminals,disk", "--output", f"out={_slow(home)}")
        until((home.work / "begun").exists, "the save")
        kept(endpoint)
        assert home.results()[0]["state"] == "watching"


@in_a_house
def test_an_output_that_is_not_there_holds_the_release(home: House) -> None:
    """It may be mistyped: that is said at the start, and what is missing in the status."""
    with home.managed() as endpoint:
        (home.work / "quiet").mkdir()
        words = (*NOW, *FILES, "--dir", "quiet", "--output", f"result={home.folder}/safe")
        ended = home.run("watch", *words)
        assert ended.code == 0
        assert f"there is no {home.work}/result" in " ".join(ended.err.split())
        until(lambda: home.results()[0]["release"]["reason"] == "not-saved", "the hold")
        assert f"{home.work}/result does not exist" in " ".join(home.run("watch", "--status").out.split())
        kept(endpoint, 1.0)
        (home.work / "result").mkdir()
        (home.work / "result" / "model").touch()
        released(endpoint)


@in_a_house
def test_a_target_that_cannot_be_made_is_refused(home: House) -> None:
    """It is tried at the start; no watch begins."""
    _output(home)
    with home.managed():
        ended = home.run("watch", *NOW, *FILES, "--output", "out=/proc/here")
        assert ended.code == NO_RELEASE
        assert "/proc/here" in ended.err
        assert watches(home) == []


@in_a_house
def test_one_press_ends_a_save(home: House) -> None:
    """`--stop` waits for no copy; nothing is released."""
    _output(home)
    with home.managed() as endpoint:
        start(home, *NOW, *FILES, "--output", f"out={_slow(home)}")
        until((home.work / "begun").exists, "the save")
        began = time.monotonic()
        assert len(home.run("watch", "--stop", "--json").document["stopped"]) == 1
        assert time.monotonic() - began < PATIENCE_S / 2
        kept(endpoint, 0.5)


@in_a_house
def test_a_watch_that_saves_is_replaced(home: House) -> None:
    """The newer one stays alone."""
    _output(home)
    with home.managed():
        start(home, *NOW, *FILES, "--output", f"out={_slow(home)}")
        until((home.work / "begun").exists, "the save")
        told = home.run("watch", "--idle", "1h", "--json").document
        assert [row["run_id"] for row in watches(home)] == [told["run_id"]]


@in_a_house
def test_own_writing_is_no_life(home: House) -> None:
    """Targets, the recording and the state folder in a watched folder: it is released all the same."""
    _output(home)
    (home.folder / "safe").mkdir()
    with home.managed() as endpoint:
        words = (
            "--dir",
            str(home.folder),
            "--dir",
            str(home.folder / "safe"),
            "--record",
            str(home.folder / "looks"),
        )
        start(home, *NOW, *FILES, *words, "--output", f"out={home.folder}/safe")
        released(endpoint)
