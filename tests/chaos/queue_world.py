"""Injections into queues: one kill at some moment, and what must hold afterwards."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
import uuid
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from chaos.apart import Seen, look, separate
from chaos.zygote import Zygote
from helpers.cli import command
from helpers.endpoint import COOKIE, Endpoint
from helpers.leases import forget_runs_of, forget_target
from helpers.scene import fast_configs
from launcher.release import marks

if TYPE_CHECKING:
    from chaos.zygote import Started

GUARD, WATCHER = "colab-run-guard", "colab-run-watch"
VICTIMS = {
    "client": 2,
    "queue guard": 6,
    "queue watcher": 3,
    "both": 4,
    "guard, then its successor": 3,
    "run guard": 4,
    "run watcher": 2,
    "starter": 4,
}
BOTH = ("both", "guard, then its successor")
KINDS = ("files", "matrix", "failing")
EARLIEST_S, LATEST_S = 0.1, 2.5
VICTIM_S, CLIENT_S, RELEASE_S, CALL_S, GONE_S = 3.0, 60.0, 30.0, 1.0, 10.0
LOOK_S = 0.005


@dataclass(frozen=True)
class Shot:
    """One injection, to be repeated from its seed and its number."""

    number: int
    kind: str
    victim: str
    delay_s: float
    pause_s: float

    @property
    def names(self) -> list[str]:
        """The jobs, in their order."""
        return {"files": ["a", "b"], "matrix": ["1", "2"], "failing": ["a", "b"]}[self.kind]


def draw(seed: str, number: int) -> Shot:
    """The shot of this number."""
    chance = random.Random(f"{seed}/{number}")
    victim = chance.choices(list(VICTIMS), list(VICTIMS.values()))[0]
    delay = EARLIEST_S * (LATEST_S / EARLIEST_S) ** chance.random()
    return Shot(number, chance.choice(KINDS), victim, delay, chance.uniform(0.0, 0.3))


@dataclass
class Evidence:
    """What one injection left. `requests` are (nonce, living processes of jobs)."""

    shot: Shot
    hit: bool = False
    code: int | None = None
    marks: list[str] = field(default_factory=list)
    requests: list[tuple[str, list[int]]] = field(default_factory=list)
    queue: dict[str, Any] = field(default_factory=dict)
    runs: list[dict[str, Any]] = field(default_factory=list)
    left: list[str] = field(default_factory=list)
    said: str = ""


def judge(seen: Evidence) -> list[str]:
    """What must not be: a headline and a figure for each."""
    found = []
    if any(alive for _, alive in seen.requests):
        found.append("early: a process of a run lived at the request")
    if len({nonce for nonce, _ in seen.requests}) > 1:
        found.append(f"twice: {len(seen.requests)} requests of more than one nonce")
    if seen.queue and seen.marks and not seen.requests:
        found.append("missed: no request")
    if len(set(seen.marks)) < len(seen.marks):
        found.append(f"doubled: {seen.marks}")
    if seen.queue and seen.queue.get("state") != "done":
        found.append(f"unfinished: the queue is {seen.queue.get('state')}")
    found += _judge_runs(seen)
    if "Traceback" in seen.said:
        found.append("said: a traceback")
    return [*found, *(f"left: {one}" for one in seen.left)]


def _judge_runs(seen: Evidence) -> list[str]:
    """No run is lost, and the queue's document says what was."""
    shot, rows = seen.shot, seen.queue.get("runs") or []
    found = []
    both = seen.hit and shot.victim in BOTH
    if seen.queue and not both and sorted(seen.marks) != sorted(shot.names):
        found.append(f"lost: only {seen.marks} of {shot.names} were started")
    begun = [row for row in rows if row["run_id"] is not None]
    if rows and len(begun) != len(seen.marks):
        found.append(f"told: {len(begun)} runs have an id, {len(seen.marks)} have left a mark")
    ids = {run["run_id"] for run in seen.runs}
    if rows and {row["run_id"] for row in begun} != ids:
        found.append("told: other runs than there are")
    releases = [(run["run_id"], run["release"]) for run in seen.runs]
    if any(release["status"] not in ("kept", "not-asked") for _, release in releases):
        found.append(f"released: a run of the queue did: {releases}")
    if any(row["stands"] in ("waiting", "starting", "running") for row in rows):
        found.append("told: a run that neither ended nor was left out")
    if rows and not both:
        codes = [row["exit_code"] for row in rows]
        wanted = next((code for code in codes if code), 0)
        if seen.queue.get("exit_code") != wanted:
            found.append(f"code: {seen.queue.get('exit_code')} for {codes}")
    return found


class World:
    """One worker's corner, with its endpoint."""

    def __init__(self, folder: Path) -> None:
        self._zygote = Zygote()  # Before there are threads.
        self._folder, self.cookie = folder, uuid.uuid4().hex
        self._configs = fast_configs(folder)
        self._endpoint = Endpoint(self.cookie, [200])
        self._endpoint.__enter__()
        self._endpoint._server.handle_error = lambda *args: None
        self._not_ours = {os.getpid(), os.getppid(), self._zygote.pid}

    def close(self) -> None:
        """End what is ours."""
        self._endpoint.__exit__()
        self._zygote.end()

    def play(self, shot: Shot) -> Evidence:
        """From the job files to the end of the last process."""
        self._endpoint.requests.clear()
        forget_target(self._endpoint.address)
        folder = self._folder / str(shot.number)
        work, seen = folder / "work", Evidence(shot)
        work.mkdir(parents=True)
        files, env = self._files(shot, work), self._env(folder)
        client = self._zygote.start(["run", "--keep-going", *files], env, work, folder / "client")
        seen.hit = self._shoot(shot, client)
        deadline = time.monotonic() + CLIENT_S
        while client.poll() is None:
            if time.monotonic() > deadline:
                seen.left.append("a client that does not end")
                os.kill(client.pid, signal.SIGKILL)
                deadline += CLIENT_S
            time.sleep(LOOK_S)
        seen.code = client.poll()
        self._settle(folder, env, work)
        self._collect(seen, folder, work)
        return seen

    def _files(self, shot: Shot, work: Path) -> list[str]:
        release = {"when": "always", "grace": "0s", "unsaved": "discard"}
        job: dict[str, Any] = {"stop_grace": "0.3s", "release": release}
        job["run"] = 'echo "$NAME" >> marks; sleep 0.2; [ "$NAME" != "$BAD" ] || exit 3'
        if shot.kind == "matrix":
            job["matrix"] = {"env.NAME": shot.names, "parallel": 2}
            (work / "job.yaml").write_text(json.dumps(job))
            return ["job.yaml"]
        for name in shot.names:
            bad = "a" if shot.kind == "failing" else ""
            (work / f"{name}.yaml").write_text(json.dumps({**job, "env": {"NAME": name, "BAD": bad}}))
        return [f"{name}.yaml" for name in shot.names]

    def _env(self, folder: Path) -> dict[str, str]:
        kept = ("PATH", "HOME", "LANG", "LC_ALL", "PYTHONPATH", "LD_LIBRARY_PATH")
        return {
            **{name: os.environ[name] for name in kept if name in os.environ},
            "COLAB_RUN_HOME": str(folder / "home"),
            "COLAB_RUN_CONFIGS": str(self._configs),
            "TBE_RUNTIME_ADDR": self._endpoint.address,
            COOKIE: self.cookie,
        }

    def _look(self) -> list[Seen]:
        return look(self._not_ours, f"{COOKIE}={self.cookie}".encode())

    # --- the shot -----------------------------------------------------------------------------------

    def _shoot(self, shot: Shot, client: Started) -> bool:
        time.sleep(shot.delay_s)
        deadline = time.monotonic() + VICTIM_S
        while not (victims := self._find(shot.victim, client)):
            if time.monotonic() > deadline or client.poll() is not None:
                return False
            time.sleep(LOOK_S)
        for turn, pid in enumerate(victims):
            if turn and shot.victim == "guard, then its successor":
                time.sleep(shot.pause_s)
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        return True

    def _find(self, victim: str, client: Started) -> list[int]:
        """The victims as they are now; a watcher is a queue's where nobody of ours is its parent."""
        if victim == "client":
            return [client.pid] if client.poll() is None else []
        seen = {one.pid: one for one in self._look()}
        watchers = [one for one in seen.values() if one.name == WATCHER]
        guards = [one for one in seen.values() if one.name == GUARD]
        top = next((one.pid for one in watchers if one.parent not in seen), None)
        guard = next((one.pid for one in guards if one.parent == top), None)
        below = [one.pid for one in watchers if one.parent == guard]
        run_guards = [one.pid for one in guards if one.parent in below]
        starters = [one.pid for one in seen.values() if one.parent == guard and _starts(one.pid)]
        found: dict[str, list[int | None]] = {
            "queue guard": [guard],
            "queue watcher": [top],
            "both": [top, guard],
            "guard, then its successor": [guard, top],
            "run guard": run_guards[:1] or [None],
            "run watcher": below[:1] or [None],
            "starter": starters[:1] or [None],
        }
        pids = found[victim]
        return [pid for pid in pids if pid is not None] if None not in pids else []

    # --- afterwards ---------------------------------------------------------------------------------

    def _settle(self, folder: Path, env: dict[str, str], work: Path) -> None:
        """Until the release was accepted, or nobody is left who could ask. Who is lost is looked after."""
        deadline, called = time.monotonic() + RELEASE_S, 0.0
        while time.monotonic() < deadline:
            queue = next((one for one in _results(folder) if "queue_id" in one), {})
            if queue.get("state") == "done" and queue["release"]["status"] == "accepted":
                return
            lost = any(not guarded for _, guarded in marks.runs())
            if lost and time.monotonic() > called + CALL_S:
                called = time.monotonic()
                null = subprocess.DEVNULL
                subprocess.run(
                    [*command(), "ps"], cwd=work, env=env, stdout=null, stderr=null, timeout=CLIENT_S
                )
            if not lost and not self._look():
                return
            time.sleep(LOOK_S)

    def _collect(self, seen: Evidence, folder: Path, work: Path) -> None:
        documents = _results(folder)
        seen.requests = [(request.nonce, request.alive) for request in self._endpoint.requests]
        seen.queue = next((one for one in documents if "queue_id" in one), {})
        seen.runs = [one for one in documents if "queue_id" not in one]
        with suppress(OSError):
            seen.marks = (work / "marks").read_text().split()
        with suppress(OSError):
            seen.said = Path(f"{folder}/client.err").read_text(errors="replace")
        # A command that was about to start a run, and finds its place closed, ends by itself.
        deadline = time.monotonic() + GONE_S
        while self._strangers() and time.monotonic() < deadline:
            time.sleep(LOOK_S)
        seen.left += self._strangers()
        errors = [path.read_text() for path in folder.glob("home/runs/*/guard.err")]
        seen.left += [f"guard.err: {text[-300:]}" for text in errors]
        for one in self._look():
            with suppress(ProcessLookupError):
                os.kill(one.pid, signal.SIGKILL)
        deadline = time.monotonic() + 5.0
        while self._look() and time.monotonic() < deadline:
            time.sleep(LOOK_S)
        forget_runs_of(folder)

    def _strangers(self) -> list[str]:
        """What lives and is neither a guard nor a watcher, which wait for the machine to go."""
        left = [one for one in self._look() if one.name not in (GUARD, WATCHER)]
        return [f"process {one.name} {_command_of(one.pid)}" for one in left]


def _command_of(pid: int) -> str:
    with suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")[-200:]
    return ""


def _results(folder: Path) -> list[dict[str, Any]]:
    found = []
    for path in sorted(folder.glob("home/runs/*/result.json")):
        with suppress(OSError, ValueError):
            found.append(json.loads(path.read_text()))
    return found


def _starts(pid: int) -> bool:
    with suppress(OSError):
        return b"--queue" in Path(f"/proc/{pid}/cmdline").read_bytes()
    return False


def work() -> None:
    """One worker: `PLACE SEED FIRST END STEP` in argv; a line of JSON on stdout for each injection."""
    place, seed = Path(sys.argv[1]), sys.argv[2]
    first, end, step = map(int, sys.argv[3:])
    apart = separate(place)
    os.environ["CHAOS_APART"] = "1" if apart else "0"
    world = World(place)
    for number in range(first, end, step):
        seen = world.play(draw(seed, number))
        row = {"hit": seen.hit, "asked": bool(seen.requests), "wrong": judge(seen), **asdict(seen.shot)}
        print(json.dumps(row), flush=True)
    world.close()
