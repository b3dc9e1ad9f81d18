"""`with: {command: …}`: exit code 0 is accepted; all else is said, with the last line of the command."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from helpers.ours import is_dead, name_of
from helpers.scene import until
from launcher.backing import backend_here
from launcher.plan import plan_from_json
from launcher.probes.model import Platform, PlatformKind
from launcher.release.command import Command
from launcher.release.needed import digests, names, unlike
from launcher.spec.model import Argv, JobSpec, ReleasePolicy, ReleaseWith, With

if TYPE_CHECKING:
    from helpers.scene import Scene

A_LONG_TIME_S = 20.0
KEPT = {"PATH": os.environ["PATH"]}


def nothing() -> None:
    """Nobody asks."""


def command(text: str, folder: Path | str = "/", **environ: str) -> Command:
    return Command(text, str(folder), {**KEPT, **environ}, tuple(environ.values()))


def releases(text: str, **more: str) -> str:
    policy = {"with": {"command": text}, "when": "always", "grace": "0s", "unsaved": "discard", **more}
    return f"release: {json.dumps(policy)}\n"


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][:1] not in "ZX"
    except OSError:
        return False


# --- one attempt ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "accepted", "reason", "said"),
    [
        ("true", True, "exit-0", ""),
        ("echo gone; exit 0", True, "exit-0", "gone"),
        ("exit 3", False, "exit-3", ""),
        ("echo first; echo 'no such pod' >&2; echo; exit 1", False, "exit-1", "no such pod"),
        ("kill -KILL $$", False, "signal-9", ""),
        (
            "no-such-program-at-all",
            False,
            "exit-127",
            "bash: line 1: no-such-program-at-all: command not found",
        ),
        ("printf '\\033[31mred\\033[0m\\n'; false", False, "exit-1", "[31mred[0m"),
        ("yes | head -c 9000000; echo end; false", False, "exit-1", "end"),
        ("printf '\\377\\n'; false", False, "exit-1", "\ufffd"),
    ],
)
def test_the_exit_code_decides(text: str, accepted: bool, reason: str, said: str) -> None:
    """0 and nothing else; the last line that it wrote is shown, without what a terminal would obey."""
    answer = command(text).ask("n", A_LONG_TIME_S, nothing)
    assert (answer.http_status, answer.accepted, answer.reason, answer.said) == (None, accepted, reason, said)


def test_it_knows_its_nonce_its_folder_and_its_environment(tmp_path: Path) -> None:
    """What a provider's command needs."""
    text = 'echo "$COLAB_RUN_RELEASE_NONCE $POD $PWD"'
    assert command(text, tmp_path, POD="pod-1").ask("n1", A_LONG_TIME_S, nothing).said == f"n1 *** {tmp_path}"


def test_without_its_folder_it_is_not_run(tmp_path: Path) -> None:
    """`./release.sh` means another file elsewhere, or none: nothing is run, which is said before the job."""
    ran = tmp_path / "ran"
    lost = command(f"touch {ran}", tmp_path / "gone")
    answer = lost.ask("n1", A_LONG_TIME_S, nothing)
    assert (answer.accepted, answer.reason, answer.firm) == (False, "no-folder", True)
    assert "gone of the release command is not there" in str(lost.permission())
    assert not ran.exists()
    (tmp_path / "gone").mkdir()
    assert lost.ask("n1", A_LONG_TIME_S, nothing).accepted


def test_secrets_are_masked() -> None:
    """A command line that complains of its key does not put it into the record."""
    answer = command('echo "bad key $KEY"; false', KEY="hunter2hunter2").ask("n", A_LONG_TIME_S, nothing)
    assert answer.said == "bad key ***"


def test_a_command_that_hangs_is_killed_with_all_that_it_started(tmp_path: Path) -> None:
    """At the deadline of one attempt, which holds in spite of a child that ignores signals."""
    text = (
        f"trap '' TERM INT HUP; (trap '' TERM; echo $BASHPID >{tmp_path}/pid; sleep 1000) & wait; sleep 1000"
    )
    began = time.monotonic()
    answer = command(text).ask("n", 3, nothing)
    assert (answer.accepted, answer.reason) == (False, "timeout")
    assert time.monotonic() - began < 10
    until(lambda: not alive(int((tmp_path / "pid").read_text())), "the end of what it had started")


def test_what_it_leaves_in_the_background_goes_on(tmp_path: Path) -> None:
    """`(sleep 5; poweroff) &` is a way to end a machine: it is neither waited for nor killed."""
    go, done = tmp_path / "go", tmp_path / "done"
    text = f"(until [ -e {go} ]; do sleep 0.02; done; touch {done}) & true"
    assert command(text).ask("n", A_LONG_TIME_S, nothing).accepted
    go.touch()
    until(done.exists, "what was left in the background")


def test_what_a_failed_command_leaves_behind_is_ended(tmp_path: Path) -> None:
    """It was not accepted: nothing of it may end the machine an hour later."""
    text = f"sleep 1000 & echo $! >{tmp_path}/pid; exit 1"
    assert not command(text).ask("n", A_LONG_TIME_S, nothing).accepted
    until(lambda: not alive(int((tmp_path / "pid").read_text())), "the end of what it had left behind")


ASKS = """
import os, sys
from launcher.release.command import Command
text = f"(echo $BASHPID >{sys.argv[1]}/pid; exec sleep 1000) & wait; sleep 1000"
Command(text, "/", {"PATH": os.environ["PATH"]}).ask("n", 1000, lambda: None)
"""


def test_it_does_not_outlive_the_guard_that_asked(tmp_path: Path) -> None:
    """SIGKILL of the guard in the middle of a request: no command is left that ends the machine later."""
    guard = subprocess.Popen([sys.executable, "-c", ASKS, str(tmp_path)])
    until(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text().strip(), "the command")
    pid = int((tmp_path / "pid").read_text())
    guard.kill()
    guard.wait()
    try:
        until(lambda: not alive(pid), "the end of the command")
    finally:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


# --- before the job starts ------------------------------------------------------------------------


def test_permission_runs_nothing_of_it(tmp_path: Path) -> None:
    """Bash reads it, and looks for its first program; that is all."""
    mark = tmp_path / "ran"
    assert command(f"touch {mark}; exit 1").permission() == ""
    assert "bash cannot read" in str(command("if true").permission())
    assert "runpodctl-x is not on the PATH" in str(command("runpodctl-x remove pod $POD").permission())
    assert command(f'KEY=1 "$HOME/x" {mark}').permission() == ""
    assert "bash is not on the PATH" in str(Command("true", "/", {"PATH": "/nonexistent"}).permission())
    assert not mark.exists()


def test_a_slow_look_is_no_problem(tmp_path: Path) -> None:
    """What could not be found out is not said to be wrong."""
    slow = tmp_path / "bash"
    slow.write_text("#!/bin/sh\nexec sleep 1000\n")
    slow.chmod(0o755)
    assert Command("true", "/", {"PATH": f"{tmp_path}:{KEPT['PATH']}"}).permission() == ""


def test_the_variables_that_it_needs() -> None:
    """What it names with a dollar sign, set or not; any other word that is a variable; not what bash sets."""
    environ = {"POD": "a", "KEY": "b", "OTHER": "c", "PWD": "/"}
    text = "curl -H ${KEY:-x} $POD $nowhere $PWD $POD; printenv OTHER"
    assert names(text, environ) == ("KEY", "POD", "nowhere", "OTHER")


def test_values_are_compared_by_digests() -> None:
    """The same value is alike, another is not; what could be read off a digest depends on the salt."""
    noted = digests(("POD", "KEY", "NONE"), {"POD": "a", "KEY": "a"}, "salt")
    assert noted["NONE"] is None
    assert len({noted["POD"], noted["KEY"]}) == 2
    assert unlike(noted, {"POD": "a", "KEY": "a", "NONE": "set"}, "salt") == ()
    assert unlike(noted, {"POD": "b"}, "salt") == ("POD", "KEY")
    assert unlike(noted, {"POD": "a", "KEY": "a"}, "pepper") == ("POD", "KEY")
    assert unlike({"POD": "?"}, {"POD": "a"}, "salt") == ("POD",)


# --- whole runs -----------------------------------------------------------------------------------


def test_a_run_ends_with_its_command(scene: Scene) -> None:
    """Outside Colab as on it: accepted, with the job's environment, and no request to Colab."""
    told = scene.folder / "told"
    text = f'echo "$COLAB_RUN_RELEASE_NONCE $FROM_FILE $FROM_SHELL" >> {told}'
    with scene.managed() as endpoint:
        scene.env["FROM_SHELL"] = "shell"
        job = 'env: {FROM_FILE: file}\nrun: "true"\n' + releases(text)
        ended = scene.run_job(job)
        assert (ended.code, endpoint.requests) == (0, []), ended.err
    (result,) = scene.results()
    assert result["release"]["status"] == "accepted"
    assert told.read_text() == f"{result['release']['nonce']} file shell\n"
    assert result["money_still_running"] == {"unknown": "not-confirmed"}


def test_a_command_that_fails_is_75_with_its_own_words(scene: Scene) -> None:
    """Row 80: it refuses, again and again: said loudly, with what the command said."""
    with scene.managed() as endpoint:
        ended = scene.run_job('run: "true"\n' + releases("echo quota exceeded; exit 2"))
        assert (ended.code, endpoint.requests) == (75, [])
    (result,) = scene.results()
    assert (result["release"]["status"], result["release"]["reason"]) == ("failed", "exit-2")
    assert result["release"]["attempts"] > 1
    assert "quota exceeded" in result["release"]["detail"]
    assert "quota exceeded" in ended.err
    assert result["money_still_running"] is True


def test_a_command_that_is_not_there_is_said_first(scene: Scene) -> None:
    """Before the job starts, not after a night of training."""
    with scene.managed():
        ended = scene.run_job('run: "true"\n' + releases("runpodctl-x remove pod 1"))
    assert ended.code == 75
    assert ended.err.index("the release cannot work: runpodctl-x is not") < ended.err.index("succeeded")


def test_without_when_nothing_is_released_and_that_is_said(scene: Scene) -> None:
    """A backend that was named and a policy that was not: outside Colab the default is `never`."""
    mark = scene.folder / "ran"
    job = f'run: "true"\nrelease: {{with: {{command: touch {mark}}}}}\n'
    ended = scene.run_job(job)
    assert (ended.code, mark.exists()) == (0, False)
    assert "release.when is not given" in ended.err
    assert scene.results()[0]["release"]["status"] == "not-asked"


def test_with_none_it_is_somebody_elses_business(scene: Scene) -> None:
    """On a managed VM too: one line, no countdown, no request."""
    with scene.managed() as endpoint:
        ended = scene.run_job('run: "true"\nrelease: {with: none, when: always, grace: 1h}\n')
        assert (ended.code, endpoint.requests) == (0, [])
    assert scene.results()[0]["release"]["status"] == "not-managed"
    assert scene.results()[0]["money_still_running"] is True
    assert ended.err.count("not released") == 1


def test_whoever_takes_the_run_up_needs_its_values(scene: Scene) -> None:
    """They are not written down: with another value, or without one, the command is not run; that is said."""
    told = scene.folder / "told"
    scene.env["POD"] = "pod-7"
    with scene.managed():
        text = f'echo "$POD $KEY $FROM_FILE $NEVER_SET" | tee {told}'
        job = "run: 'true'\nsecrets: [KEY]\nenv: {FROM_FILE: file}\n" + releases(text)
        assert scene.run_job(job, "--no-release", env={"KEY": "hunter2hunter2"}).code == 0
    (path,) = scene.home.glob("runs/*/plan.json")
    assert "pod-7" not in path.read_text()
    assert "hunter2" not in path.read_text()
    document = json.loads(path.read_text())
    there = {**KEPT, "POD": "pod-7", "KEY": "hunter2hunter2", "FROM_FILE": "shell", "NEVER_SET": "set"}
    whole = plan_from_json(document, there)
    assert whole.backend is not None
    assert whole.backend.hopeless() is None
    assert whole.backend.ask("n", A_LONG_TIME_S, nothing).said == "pod-7 *** file"
    assert told.read_text() == "pod-7 hunter2hunter2 file \n"
    for other in ({**there, "POD": "pod-8"}, {name: there[name] for name in there if name != "POD"}):
        backend = plan_from_json(document, other).backend
        assert backend is not None
        reason, why = backend.hopeless() or ("", "")
        assert (reason, "needs POD as" in str(why)) == ("other-environment", True)


def test_a_secret_in_env_is_not_written_down(scene: Scene) -> None:
    """Somebody has put a secret's value into the job file: it is masked, and then no value of the run's."""
    scene.env["KEY"] = "hunter2hunter2"
    with scene.managed():
        job = "run: 'true'\nsecrets: [KEY]\nenv: {COPY: hunter2hunter2}\n" + releases('echo "$COPY"')
        assert scene.run_job(job, "--no-release").code == 0
    (path,) = scene.home.glob("runs/*/plan.json")
    assert "hunter2" not in path.read_text()
    backend = plan_from_json(json.loads(path.read_text()), dict(scene.env)).backend
    assert backend is not None
    assert (backend.hopeless() or ("",))[0] == "other-environment"


def test_a_lost_run_releases_no_instance_of_another_shell(scene: Scene) -> None:
    """Watcher and guard are killed; a shell with other values ends the run, and releases nothing.

    With the same values: test_whoever_takes_the_run_up_needs_its_values. Anybody's call on this machine may
    be the one that takes the run up.
    """
    told = scene.folder / "told"
    text = f'echo "$INSTANCE_ID $ZONE" >> {told}'
    job = "env: {INSTANCE_ID: i-mine}\nrun: touch started; sleep 1000\n" + releases(text, confirm="1h")
    with scene.managed() as endpoint:
        client = scene.start("run", scene.write_job(job), env={"ZONE": "here", "INSTANCE_ID": "i-shell"})
        until((scene.work / "started").exists, "the job")
        ours = _ours(scene)
        for pid in ours:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        client.communicate(timeout=A_LONG_TIME_S)
        until(lambda: all(map(is_dead, ours)), "their ends")
        assert scene.run("ps", env={"INSTANCE_ID": "i-other", "ZONE": "there"}).code == 0
        until(lambda: scene.results()[0]["release"]["reason"] == "other-environment", "the last word")
        assert endpoint.requests == []
    assert not told.exists()


def _ours(scene: Scene) -> list[int]:
    """Client, watcher and guard, in this order: each would go on without the next."""
    names = {pid: name_of(pid) for pid in scene.leftovers()}
    later = {"colab-run-watch": 1, "colab-run-guard": 2}
    ours = [pid for pid, name in names.items() if name not in ("bash", "sleep", "touch")]
    return sorted(ours, key=lambda pid: later.get(names[pid], 0))


def test_another_command_is_another_way() -> None:
    """The same text in another folder, or with another value, ends something else: nobody waits for it."""

    def way(folder: str, text: str = "end $POD", **environ: str) -> str:
        spec = JobSpec(
            "job", folder, Argv(("true",)), release=ReleasePolicy(how=ReleaseWith(With.COMMAND, text))
        )
        backend = backend_here(spec, Platform(PlatformKind.PLAIN), {**KEPT, **environ})
        assert backend is not None
        return backend.way

    assert way("/", POD="a") == way("/", POD="a", OTHER="b")
    ways = {way("/", POD="a"), way("/", POD="b"), way("/"), way("/usr", POD="a"), way("/", "end  $POD")}
    assert len(ways) == 5
    assert "secret" not in way("/", POD="secret")


def test_it_is_told_as_a_shell_would_take_it() -> None:
    """Quotes in it do not end it."""
    text = "curl -H 'Authorization: x' http://127.0.0.1/"
    assert shlex.split(str(Command(text, "/", {}).describe())) == ["bash", "-c", text]
