"""Plays one injection after the other in a corner of its own, and collects what each of them left."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sqlite3
import sys
import threading
import time
import uuid
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from chaos import program
from chaos.apart import Seen, look
from chaos.shots import BOTH, SCRIPTS, Shot
from chaos.zygote import Whole, Zygote
from helpers.endpoint import COOKIE, Endpoint, hang_up
from helpers.leases import forget_target
from helpers.scene import fast_configs
from launcher.guard import meeting
from launcher.ledger.model import LedgerUnusable
from launcher.ledger.store import Ledger
from launcher.release import lease, marks

if TYPE_CHECKING:
    from collections.abc import Callable
    from http.server import BaseHTTPRequestHandler

GUARD, WATCHER = "colab-run-guard", "colab-run-watch"
# How long a victim is waited for, a client, and a release.
VICTIM_S, LATE_VICTIM_S, CLIENT_S, RELEASE_S = 2.5, 0.15, 40.0, 15.0
LOOK_S = 0.002
GONE_S = 0.5
STATES = ["planned", "started", "exited", "saving", "releasing", "done"]
SETUP = "echo setup; sleep 0.05"


@dataclass
class Evidence:
    """What one injection left. Times are monotonic seconds; `requests` are (time, nonce, alive, taken).

    `counts` are the lines that each attempt has written, `marks` which attempts began, and when.
    """

    shot: Shot
    folder: Path
    began: float = 0.0
    hit: dict[str, int] = field(default_factory=dict)
    both: bool = False
    hit_at: float = 0.0
    code: int | None = None
    called: bool = False
    requests: list[tuple[float, str, list[int], bool]] = field(default_factory=list)
    settled_s: float = 0.0
    results: list[dict[str, Any]] = field(default_factory=list)
    rows: dict[str, list[Any]] = field(default_factory=dict)
    integrity: str = "ok"
    planned: bool = False
    shown: bytes = b""
    said: str = ""
    log: bytes = b""
    counts: dict[int, int] = field(default_factory=dict)
    marks: list[tuple[int, float]] = field(default_factory=list)
    ended: float | None = None
    left: list[str] = field(default_factory=list)
    seconds: float = 0.0


class World:
    """One worker's corner: a zygote, an endpoint, and a folder for each injection."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._zygote = Zygote()
        self.cookie = uuid.uuid4().hex
        self._configs = fast_configs(folder)
        self._endpoint = Endpoint(self.cookie, [200])
        self._endpoint.__enter__()
        # A client that is killed in the middle of a request is no news.
        self._endpoint._server.handle_error = lambda *args: None
        self._taken: list[bool] = []
        self._asked, self._answered, self._go_on = (threading.Event() for _ in range(3))
        self._not_ours = {os.getpid(), self._zygote.pid}

    def close(self) -> None:
        """End what is ours."""
        self._endpoint.__exit__()
        self._zygote.end()

    # --- one injection ----------------------------------------------------------------------------

    def play(self, shot: Shot) -> Evidence:
        """Everything, from the job file to the end of the last process."""
        folder = self._current = self._folder / str(shot.number)
        seen = Evidence(shot, folder)
        self._set_up(shot, folder)
        seen.began = time.monotonic()
        words = ["run", "job.yaml", *(["--tty"] if shot.job.tty else [])]
        words += ["--detach"] if shot.job.detached else []
        start = Whole if shot.whole else self._zygote.start
        self._client = start(words, self._env(folder), folder / "work", folder / "client")
        self._gun(shot, seen)
        self._go_on.set()
        self._wait_for_client(seen)
        if seen.both:
            self._call(seen)
        self._settle(seen)
        self._collect(seen)
        seen.seconds = time.monotonic() - seen.began
        return seen

    def _set_up(self, shot: Shot, folder: Path) -> None:
        self._endpoint.requests.clear()
        self._taken.clear()
        self._endpoint.script = [self._answer(step, shot) for step in SCRIPTS[shot.script]]
        forget_target(self._endpoint.address)
        for event in (self._asked, self._answered, self._go_on):
            event.clear()
        work = folder / "work"
        work.mkdir(parents=True)
        (folder / "place").mkdir()
        job = shot.job
        python = [sys.executable, "-I", "-S", program.__file__, str(folder / "place")]
        document: dict[str, Any] = {
            "run": [
                *python,
                str(shot.seconds),
                str(job.code),
                job.daemon or "no",
                "deaf" if job.deaf else "no",
                str(shot.fails),
            ],
            "stop_grace": "0.3s",
            "release": {"when": "always", "grace": "0s"},
        }
        if shot.fails:
            again = ["error", "signal", "could_not_start", *(["lost"] if shot.takes_lost else [])]
            backoff = f"{shot.backoff_s:.3f}s"
            document["retry"] = {"max_restarts": shot.fails, "on": again, "backoff": backoff}
        if job.setup:
            document["setup"] = SETUP
        if job.outputs:
            (work / "out").mkdir()
            (work / "out" / "model").write_text("x\n" * 1000)
            document["outputs"] = [{"path": "out", "to": "../saved"}]
        (work / "job.yaml").write_text(json.dumps(document))

    def _env(self, folder: Path) -> dict[str, str]:
        kept = ("PATH", "HOME", "LANG", "LC_ALL", "PYTHONPATH", "LD_LIBRARY_PATH")
        return {
            **{name: os.environ[name] for name in kept if name in os.environ},
            "COLAB_RUN_HOME": str(folder / "home"),
            "COLAB_RUN_CONFIGS": str(self._configs),
            "TBE_RUNTIME_ADDR": self._endpoint.address,
            COOKIE: self.cookie,
        }

    def _answer(self, step: object, shot: Shot) -> Callable[[BaseHTTPRequestHandler], None]:
        def answer(handler: BaseHTTPRequestHandler) -> None:
            taken = step != 503
            self._taken.append(taken)
            self._asked.set()
            if shot.moment == "request":
                self._go_on.wait(0.4)
            if step == "slow":
                time.sleep(0.05)
            with suppress(OSError):
                if step == "lost":
                    hang_up(handler)
                else:
                    handler.send_response(200 if taken else 503)
                    handler.send_header("Content-Length", "0")
                    handler.end_headers()
            self._answered.set()

        return answer

    # --- the shot ---------------------------------------------------------------------------------

    def look(self) -> list[Seen]:
        """Every living process of the injection."""
        return look(self._not_ours, f"{COOKIE}={self.cookie}".encode())

    def _gun(self, shot: Shot, seen: Evidence) -> None:
        self._wait_for_moment(shot, seen.began)
        # At the end some victims have gone for good.
        early = shot.moment in ("time", "planned", "started")
        deadline = time.monotonic() + (VICTIM_S if early else LATE_VICTIM_S)
        while not (victims := self._find(shot)):
            gone = self._client.poll() is not None and not self.look()
            if gone or time.monotonic() > deadline:
                return
            time.sleep(LOOK_S)
        seen.hit_at = time.monotonic()
        # A watcher that has no guard yet takes everything with it.
        alone = shot.victim == "watcher" and not any(one.name == GUARD for one in self.look())
        seen.both = shot.victim in BOTH or (alone and shot.action == "KILL")
        number = getattr(signal, f"SIG{shot.action}")
        for turn, (name, pid) in enumerate(victims):
            if turn and shot.victim == "guard and successor":
                time.sleep(shot.pause_s)
            if _send(pid, number):
                seen.hit[name] = pid
        if shot.action == "STOP":
            time.sleep(shot.pause_s)
            for pid in seen.hit.values():
                _send(pid, signal.SIGCONT)
            seen.hit_at = time.monotonic()

    def _wait_for_moment(self, shot: Shot, began: float) -> None:
        if shot.moment == "time":
            time.sleep(max(0.0, began + shot.delay_s - time.monotonic()))
            return
        deadline = time.monotonic() + VICTIM_S
        while time.monotonic() < deadline and not self._is_there(shot.moment):
            if self._client.poll() is not None and not self.look():
                return
            time.sleep(LOOK_S)
        time.sleep(shot.delay_s)

    def _is_there(self, moment: str) -> bool:
        if moment in ("request", "answered"):
            return (self._asked if moment == "request" else self._answered).is_set()
        documents = self._results()
        if moment == "pause":
            return bool(documents) and (
                "next_attempt" in documents[-1] or documents[-1]["outcome"] is not None
            )
        return bool(documents) and STATES.index(documents[-1]["state"]) >= STATES.index(moment)

    def _find(self, shot: Shot) -> list[tuple[str, int]]:
        """The victims as they are now; empty unless all of them are there."""
        processes = self.look()
        watcher = next((one.pid for one in processes if one.name == WATCHER), None)
        guards = {one.pid: one for one in processes if one.name == GUARD}
        guard = next((one.pid for one in guards.values() if one.parent not in guards), None)
        helpers = [one.pid for one in guards.values() if one.parent in guards and not one.of_job]
        job = sorted((one for one in processes if one.of_job), key=lambda one: one.pid)
        client = self._client.pid if self._client.poll() is None else None
        pick = shot.first
        found: dict[str, list[int | None]] = {
            "client": [client],
            "watcher": [watcher],
            "guard": [guard],
            "helper": [helpers[pick % len(helpers)] if helpers else None],
            "job": [next((one.pid for one in job if one.parent in guards), None)],
            "any of the job": [job[-pick].pid if job else None],
            "watcher and guard": [watcher, guard],
            "guard and successor": [guard, watcher],
            "client and guard": [client, guard],
        }
        pids = found[shot.victim]
        if None in pids:
            return []
        names = [f"{shot.victim} {number}" for number in range(len(pids))]
        named = [(name, pid) for name, pid in zip(names, pids, strict=True) if pid is not None]
        return named[::-1] if shot.first and shot.victim != "guard and successor" else named

    # --- afterwards -------------------------------------------------------------------------------

    def _wait_for_client(self, seen: Evidence) -> None:
        deadline = time.monotonic() + CLIENT_S
        while self._client.poll() is None:
            if time.monotonic() > deadline:
                seen.left.append(f"a client that does not end ({self._client.pid})")
                os.kill(self._client.pid, signal.SIGKILL)
                deadline += CLIENT_S
            time.sleep(LOOK_S)
        seen.code = self._client.poll()

    def _call(self, seen: Evidence) -> None:
        """The next call of anybody; only if it is needed, to see whether it would have been."""
        deadline = time.monotonic() + GONE_S
        while not any(not guarded for _, guarded in marks.runs()):
            # What has just been killed lets go of its note a moment later.
            if time.monotonic() > deadline or not marks.runs():
                return
            time.sleep(LOOK_S)
        seen.called = True
        folder = seen.folder
        caller = self._zygote.start(["probe"], self._env(folder), folder / "work", folder / "call")
        deadline = time.monotonic() + CLIENT_S
        while caller.poll() is None and time.monotonic() < deadline:
            time.sleep(LOOK_S)

    def _settle(self, seen: Evidence) -> None:
        """Until the release was accepted and noted, or nobody is left who could ask for it."""
        began = time.monotonic()
        while time.monotonic() - began < RELEASE_S and self.look():
            documents = self._results()
            if documents and documents[-1]["release"]["status"] == "accepted":
                break
            time.sleep(3 * LOOK_S)
        seen.settled_s = time.monotonic() - began

    def _collect(self, seen: Evidence) -> None:
        seen.results = self._results()
        for request, taken in zip(self._endpoint.requests, self._taken, strict=False):
            seen.requests.append((request.at, request.nonce, request.alive, taken))
        home = seen.folder / "home"
        seen.planned = bool(list(home.glob("runs/*/plan.json")))
        self._end_all(seen)
        seen.log = b"".join(path.read_bytes() for path in sorted(home.glob("runs/*/log")))
        with suppress(OSError):
            seen.shown = Path(f"{seen.folder}/client.out").read_bytes()
            seen.said = Path(f"{seen.folder}/client.err").read_text(errors="replace")
        place = seen.folder / "place"
        for path in place.glob("count.*"):
            with suppress(OSError, ValueError):
                seen.counts[int(path.suffix[1:])] = int(path.read_text() or "0")
        with suppress(OSError):
            lines = (place / "attempts").read_text().splitlines()
            seen.marks = [(int(number), float(at)) for number, at in map(str.split, lines)]
        with suppress(OSError, ValueError):
            seen.ended = float((seen.folder / "place" / "ended").read_text())
        self._read_ledger(seen, home)

    def _read_ledger(self, seen: Evidence, home: Path) -> None:
        if not (home / "ledger.sqlite3").exists():
            return
        try:
            ledger = Ledger.open(str(home), lease.boot_id(), read_only=True)
        except LedgerUnusable as error:
            # A guard was killed in the middle of making it, and nobody wrote to it after that.
            seen.integrity = "ok" if error.reason == "absent" else error.reason
            return
        for path in home.glob("runs/*"):
            seen.rows[path.name] = list(ledger.rows(path.name))
        ledger.close()
        with sqlite3.connect(home / "ledger.sqlite3") as raw:
            ((seen.integrity,),) = raw.execute("PRAGMA integrity_check").fetchall()
        raw.close()

    def _results(self) -> list[dict[str, Any]]:
        found = []
        for path in sorted((self._home()).glob("runs/*/result.json")):
            with suppress(OSError, ValueError):
                found.append(json.loads(path.read_text()))
        return found

    def _home(self) -> Path:
        return self._current / "home"

    def _end_all(self, seen: Evidence) -> None:
        """A guard that looks after an accepted release is told to stop, and leaves nothing at all then."""
        deadline = time.monotonic() + 5.0
        told: dict[int, float] = {}
        while processes := self.look():
            guards = {one.pid for one in processes if one.name == GUARD}
            for one in processes:
                now = time.monotonic()
                # Again and again: a watcher that takes over just now is deaf until it is a guard.
                if one.name == GUARD and one.parent not in guards and told.get(one.pid, 0.0) < now - 0.3:
                    told[one.pid] = now
                    _send(one.pid, signal.SIGINT)
            if time.monotonic() > deadline:
                seen.left += [f"process {one.name} {one.pid}" for one in processes]
                break
            time.sleep(LOOK_S)
        for one in self.look():
            _send(one.pid, signal.SIGKILL)
        seen.left += [f"socket {name}" for name in _names(meeting.folder())]
        seen.left += [f"note {name}" for name in _names(lease.FOLDER) if name.endswith((".run", ".part"))]
        for name in _names(meeting.folder()):
            os.unlink(os.path.join(meeting.folder(), name))
        for name in _names(lease.FOLDER):
            if name.endswith((".run", ".part")):
                os.unlink(Path(lease.FOLDER) / name)

    def forget(self, seen: Evidence) -> None:
        """Nothing was wrong: nobody will look at it."""
        shutil.rmtree(seen.folder, ignore_errors=True)


def _names(folder: object) -> list[str]:
    try:
        return os.listdir(str(folder))
    except OSError:
        return []


def _send(pid: int, number: int) -> bool:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return False
    return True
