"""Whatever does not answer: it is named, the rest is told, and the command ends within ten seconds."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from helpers.diagnosis import driver, of, rows
from helpers.fuse import hanging

if TYPE_CHECKING:
    from helpers.scene import Scene

# No deadline is longer than 6 s, and they run side by side; the rest is a busy machine.
LONGEST_S = 20.0


def test_a_driver_that_hangs(scene: Scene) -> None:
    """It is ended and named; everything else is still told."""
    began = time.monotonic()
    found = rows(scene.run("doctor", "--json", env=driver(scene, "hang")))
    assert time.monotonic() - began < LONGEST_S
    assert of(found, "driver") == ("fail", "the NVIDIA driver does not answer")
    assert of(found, "gpus")[0] == "unknown"
    assert of(found, "state")[0] == "ok"


def test_everything_hangs(scene: Scene) -> None:
    """A driver, the state folder and the home folder that never answer: all said, by one deadline."""
    scene.home.mkdir()
    person = scene.folder / "person"
    person.mkdir()
    env = {**driver(scene, "hang"), "HOME": str(person), "XDG_CONFIG_HOME": str(person / "config")}
    with hanging(scene.home), hanging(person):
        began = time.monotonic()
        ended = scene.run("doctor", "--json", env=env)
        assert time.monotonic() - began < LONGEST_S
    found = rows(ended)
    for key in ("state", "ledger", "disk"):
        assert of(found, key) == ("fail", "no answer within 6 s"), key
    assert of(found, "driver")[0] == "fail"
    assert of(found, "clock")[0] == of(found, "rates")[0] == "unknown"
    assert of(found, "python")[0] != "fail"


DRIVE = """
import json, sys
from dataclasses import replace
from datetime import date
from helpers.catalogs import shipped
from launcher.doctoring import examine
from launcher.doctoring.around import Around
from launcher.probes.model import Platform, PlatformKind
platform = Platform(PlatformKind.COLAB, "127.0.0.1:9", True)
around = Around({}, shipped(), platform, "/", date.today(), drive=sys.argv[1])
found = [one for one in examine.checks(around, "en") if one.key == "drive"]
print(json.dumps([row.as_plain() for row in examine.examine(found, float(sys.argv[2]))]))
"""


def drive_row(folder: Path, deadline_s: float = 1.0) -> tuple[str, object]:
    """What is said of a Drive that is mounted there."""
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    done = subprocess.run(
        [sys.executable, "-c", DRIVE, folder, str(deadline_s)],
        env=env,
        capture_output=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()
    (row,) = json.loads(done.stdout)
    found = row["found"]
    return row["health"], found["template"].format(**found["fields"])


def test_a_drive_that_works(tmp_path: Path) -> None:
    """A small file goes there and is taken away."""
    (tmp_path / "MyDrive").mkdir()
    health, said = drive_row(tmp_path, 20.0)
    assert health == "ok"
    assert str(said).startswith("mounted, can be written to")
    assert list((tmp_path / "MyDrive").iterdir()) == []


def test_a_drive_that_hangs(tmp_path: Path) -> None:
    """Its process has died, as happens: who touches it waits for good."""
    with hanging(tmp_path):
        assert drive_row(tmp_path) == ("fail", "no answer within 1 s")
