"""Plays one shot after the other in a corner of its own, and collects what each of them left."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
import time
import uuid
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from chaos.apart import Seen, look
from chaos.zygote import Whole, Zygote
from helpers.endpoint import COOKIE, Endpoint
from helpers.kills import job, states
from helpers.kills.shots import WHILE_IT_RUNS
from helpers.leases import forget_runs_of, forget_target
from helpers.scene import fast_configs
from launcher.release import marks
from launcher.saving.folder import save_to_folder
from launcher.saving.meter import Meter
from launcher.saving.model import Order, Target, TargetKind

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from http.server import BaseHTTPRequestHandler
    from pathlib import Path

    from helpers.kills.shots import Shot
    from helpers.kills.states import State

GUARD, WATCHER = "colab-run-guard", "colab-run-watch"
OUTPUTS = ("out", "model")
LOOK_S = 0.001
PATIENCE_S = 60.0
USUAL_S = 0.2
EARLIER = "20200101-000000-0000"


@dataclass
class Evidence:
    """What one shot left. States are of the sources, by output; `at_request` is what lay at the target then.

    `vanished` and `recovered` are what the next machine found: from a copy of the target at the moment when
    nobody of ours lived, and from the target in the end. `where` is how far the save had come.
    """

    shot: Shot
    folder: Path
    hit: list[int] = field(default_factory=list)
    where: str = "not hit"
    earlier: dict[str, State] = field(default_factory=dict)
    running: dict[str, State] = field(default_factory=dict)
    final: dict[str, State | None] = field(default_factory=dict)
    at_request: list[dict[str, Any]] = field(default_factory=list)
    requests: list[tuple[str, list[int]]] = field(default_factory=list)
    stamps: dict[str, Any] = field(default_factory=dict)
    vanished: dict[str, Any] | None = None
    recovered: dict[str, Any] | None = None
    result: dict[str, Any] = field(default_factory=dict)
    code: int | None = None
    called: bool = False
    problems: list[str] = field(default_factory=list)
    seconds: float = 0.0


class World:
    """One worker's corner: a zygote, an endpoint, and a folder for each shot."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._alone = os.environ.get("CHAOS_APART") == "1"
        self._zygote = Zygote()
        self.cookie = uuid.uuid4().hex
        self._configs = fast_configs(folder)
        self._endpoint = Endpoint(self.cookie, [200])
        self._endpoint.__enter__()
        self._endpoint._server.handle_error = lambda *args: None
        self._not_ours = {os.getpid(), self._zygote.pid}

    def close(self) -> None:
        """End what is ours."""
        self._endpoint.__exit__()
        self._zygote.end()

    # --- one shot ---------------------------------------------------------------------------------

    def play(self, shot: Shot) -> Evidence:
        """Everything, from the job file to what the next machine finds."""
        folder = self._folder / str(shot.number)
        seen = self._seen = Evidence(shot, folder)
        began = time.monotonic()
        self._set_up(shot, folder)
        try:
            self._client = self._start(folder, "client", "run", "job.yaml", "--json")
            self._shoot(shot, seen)
            self._recover(shot, seen)
            self._collect(seen)
        except TimeoutError as error:
            seen.problems.append(f"not seen: {error}")
        finally:
            self._end_all()
        if not seen.problems:
            seen.recovered = self._next_machine(seen, seen.folder / "to", "recovered")
            if (folder / "vanished").exists():
                seen.vanished = self._next_machine(seen, folder / "vanished", "vanished")
        seen.seconds = time.monotonic() - began
        return seen

    def _set_up(self, shot: Shot, folder: Path) -> None:
        self._endpoint.requests.clear()
        self._endpoint.script = [self._answer]
        forget_target(self._endpoint.address)
        work, place = folder / "work", folder / "place"
        work.mkdir(parents=True)
        place.mkdir()
        os.mkfifo(place / "gate")
        if shot.earlier:
            self._save_earlier(folder)
        program = [sys.executable, "-I", "-S", job.__file__, str(place), str(shot.number)]
        blocked = shot.policy != "always"
        release = {"when": "always", "grace": "0s"}
        if blocked:
            then = "stay" if shot.policy == "held for good" else "release"
            release |= {"hold": "1s", "after_hold": then}
        bad = [{"path": "bad", "to": "../place/blocked"}]
        document = {
            "run": [*program, *(["blocked"] if blocked else [])],
            "stop_grace": "1s",
            "outputs": [
                {"path": "out", "to": "../to", "every": "10s", "restore": True},
                {"path": "model", "to": "../to", "restore": True},
                *(bad if blocked else []),
            ],
            "release": release,
        }
        (work / "job.yaml").write_text(json.dumps(document))

    def _save_earlier(self, folder: Path) -> None:
        """As a run before this one left it, on a machine that has gone."""
        for name in OUTPUTS:
            source = folder / "before" / name
            (source / "step0").mkdir(parents=True)
            (source / "step1").mkdir()
            for file in ("step0/weights", "step1/weights", "step1/gone", "history"):
                (source / file).write_bytes(f"{name} {file} earlier".encode() * 1000)
            to = Target(TargetKind.FOLDER, str(folder / "to"))
            report = save_to_folder(Order(str(source), to, name, EARLIER, EARLIER), Meter())
            assert report.committed, report.failures
            self._seen.earlier[name] = states.state_of(source) or {}

    def _start(self, folder: Path, name: str, *words: str, **env: str) -> Any:
        start = self._zygote.start if self._alone else Whole
        work = folder / "work"
        return start(list(words), {**self._env(folder), **env}, work, folder / name)

    def _env(self, folder: Path) -> dict[str, str]:
        kept = ("PATH", "HOME", "LANG", "LC_ALL", "PYTHONPATH", "LD_LIBRARY_PATH")
        return {
            **{name: os.environ[name] for name in kept if name in os.environ},
            "COLAB_RUN_HOME": str(folder / "home"),
            "COLAB_RUN_CONFIGS": str(self._configs),
            "TBE_RUNTIME_ADDR": self._endpoint.address,
            COOKIE: self.cookie,
        }

    def _answer(self, handler: BaseHTTPRequestHandler) -> None:
        """Note what lies where at this moment; it is read later, if nothing was touched since."""
        folder = self._seen.folder
        texts = {name: _read(states.ours(folder / "to", name) / "saved.json") for name in OUTPUTS}
        stamps = {at: states.stamps(folder / at) for at in ("to", "work")}
        self._seen.at_request.append({"manifests": texts, "stamps": stamps})
        with suppress(OSError):
            handler.send_response(200)
            handler.send_header("Content-Length", "0")
            handler.end_headers()

    # --- the shot ---------------------------------------------------------------------------------

    def look(self) -> list[Seen]:
        """Every living process of this shot."""
        return look(self._not_ours, f"{COOKIE}={self.cookie}".encode())

    def _until(self, condition: Callable[[], Any], what: str, seconds: float = PATIENCE_S) -> Any:
        deadline = time.monotonic() + seconds
        while not (value := condition()):
            if time.monotonic() > deadline:
                raise TimeoutError(f"{what} in {seconds:g} s; {self._last_words()}")
            time.sleep(LOOK_S)
        return value

    def _last_words(self) -> str:
        said = _read(self._seen.folder / "client.err")[-400:]
        return f"processes {self.look()}, result {self._result().get('release')}, client: {said}"

    def _shoot(self, shot: Shot, seen: Evidence) -> None:
        place, target = seen.folder / "place", seen.folder / "to"
        self._until((place / "ready").exists, "the job is ready")
        for name in OUTPUTS:
            seen.running[name] = states.state_of(seen.folder / "work" / name) or {}
        before = _read(states.ours(target, shot.output) / "saved.json")
        if shot.phase != WHILE_IT_RUNS:
            self._open_gate(place)
        ours = states.ours(target, shot.output)

        def moment() -> bool:
            if shot.moment == "commit":
                return (ours / "commit.json").exists() or _read(ours / "saved.json") != before
            if shot.moment == "saved":
                return _read(ours / "saved.json") != before
            return any((ours / "staged").glob("*"))

        self._until(moment, f"the moment: {shot.moment}")
        time.sleep(shot.part * USUAL_S if shot.moment == "part" else shot.late_s)
        for pid in self._victims(shot.victim):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
                seen.hit.append(pid)
        seen.where = _where(ours, before)
        self._until(lambda: not any(one.pid in seen.hit for one in self.look()), "their end")
        if shot.victim == "ours":
            self._until(
                lambda: all(one.of_job for one in self.look()), "the end of what dies with its parent"
            )
            shutil.copytree(target, seen.folder / "vanished", symlinks=True)
        if shot.phase == WHILE_IT_RUNS and not shot.lost:
            self._open_gate(place)

    def _open_gate(self, place: Path) -> None:
        """The job goes on; where it has been killed, nobody listens any more."""

        def opened() -> bool:
            try:
                gate = os.open(place / "gate", os.O_WRONLY | os.O_NONBLOCK)
            except OSError:
                return not any(one.of_job for one in self.look())
            os.write(gate, b"go\n")
            os.close(gate)
            return True

        self._until(opened, "a job that waits")

    def _victims(self, victim: str) -> Iterator[int]:
        processes = self.look()
        guards = {one.pid for one in processes if one.name == GUARD}
        watcher = [one.pid for one in processes if one.name == WATCHER]
        guard = [one.pid for one in processes if one.name == GUARD and one.parent not in guards]
        copiers = [
            one.pid
            for one in processes
            if one.parent in guards and not one.of_job and _holds(one.pid, self._seen.folder / "to")
        ]
        client = [self._client.pid] if self._client.poll() is None else []
        yield from {
            "copier": copiers,
            "guard": guard,
            "watcher": watcher,
            "client": client,
            "both": [*watcher, *guard],
            "ours": [*watcher, *guard, *client, *copiers],
        }[victim]

    # --- afterwards -------------------------------------------------------------------------------

    def _recover(self, shot: Shot, seen: Evidence) -> None:
        self._until(lambda: self._client.poll() is not None, "the end of the client")
        seen.code = self._client.poll()
        wanted = "held" if shot.policy == "held for good" else "accepted"

        def over() -> bool:
            result = self._result()
            return result.get("state") == "done" and result["release"]["status"] == wanted

        # What has just been killed lets go of its note a moment later; a client that lives cares for its run.
        self._until(lambda: over() or _lost(), "an end, or a run that nobody guards")
        if not over():
            seen.called = True
            caller = self._start(seen.folder, "call", "probe")
            self._until(lambda: caller.poll() is not None, "the end of the next call")
        self._until(over, f"a release that is {wanted}")
        # A guard that looks after the release goes on; whoever copies has ended.
        copying = lambda: any(_holds(one.pid, seen.folder / "to") for one in self.look())  # noqa: E731
        self._until(lambda: not copying(), "the end of the copies")

    def _collect(self, seen: Evidence) -> None:
        seen.result = self._result()
        seen.requests = [(one.nonce, one.alive) for one in self._endpoint.requests]
        for name in OUTPUTS:
            seen.final[name] = states.state_of(seen.folder / "work" / name)
        seen.stamps = {at: states.stamps(seen.folder / at) for at in ("to", "work")}

    def _next_machine(self, seen: Evidence, target: Path, name: str) -> dict[str, Any]:
        """What a run there finds that restores from this target, as its job sees it."""
        folder = seen.folder / f"next {name}"
        work = folder / "work"
        work.mkdir(parents=True)
        manifests = {one: states.manifest_of(target, one) for one in OUTPUTS}
        before = {one: states.state_of(target / one) or {} for one in OUTPUTS}
        pending = [one for one in OUTPUTS if (states.ours(target, one) / "commit.json").exists()]
        outputs = [{"path": one, "to": str(target), "restore": True} for one in OUTPUTS]
        script = """
        for output in out model; do [ ! -d $output ] || cp -a $output seen-$output; mkdir -p $output; done
        printf $COLAB_RUN_RESUMED > resumed
        """
        document = {"run": script, "outputs": outputs, "release": {"when": "never"}}
        (work / "job.yaml").write_text(json.dumps(document))
        client = self._start(folder, "client", "run", "job.yaml", TBE_RUNTIME_ADDR="")
        self._until(lambda: client.poll() is not None, "the end of the run on the next machine")
        self._end_all()
        return {
            "code": client.poll(),
            "said": _read(folder / "client.err")[-800:],
            "resumed": _read(work / "resumed"),
            "manifests": manifests,
            "pending": pending,
            "before": before,
            "found": {one: states.state_of(work / f"seen-{one}") for one in OUTPUTS},
            "left": [path.name for path in work.glob(".colab-run-*")],
        }

    def _result(self) -> dict[str, Any]:
        for path in self._seen.folder.glob("home/runs/*/result.json"):
            with suppress(OSError, ValueError):
                return json.loads(path.read_text())
        return {}

    def _end_all(self) -> None:
        """Guards that wait for this machine to go are not needed any more."""
        deadline = time.monotonic() + 10.0
        while (processes := self.look()) and time.monotonic() < deadline:
            for one in processes:
                with suppress(ProcessLookupError):
                    os.kill(one.pid, signal.SIGKILL)
            time.sleep(LOOK_S)
        forget_runs_of(self._folder)

    def forget(self, seen: Evidence) -> None:
        """Nothing was wrong: nobody will look at it."""
        shutil.rmtree(seen.folder, ignore_errors=True)


def _lost() -> bool:
    return any(not guarded for _, guarded in marks.runs())


def _where(ours: Path, before: str) -> str:
    """How far the save has come that is shot at."""
    if (ours / "commit.json").exists():
        return "placing"
    if _read(ours / "saved.json") != before:
        return "saved"
    return "copying" if any((ours / "staged").glob("*")) else "between"


def _holds(pid: int, target: Path) -> bool:
    """Has the process something below the target open?"""
    with suppress(OSError):
        for name in os.listdir(f"/proc/{pid}/fd"):
            with suppress(OSError):
                if os.readlink(f"/proc/{pid}/fd/{name}").startswith(f"{target}/"):
                    return True
    return False


def _read(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""
