"""What each kind of end leads to: exactly the requests and the exit code of the contract.

Every scene also holds that no process of the job lived when a request arrived (helpers.scene).
"""

from __future__ import annotations

import signal

import pytest

from helpers.endpoint import dead_address, drip, hang_up, redirect
from helpers.scene import Scene, until

NOW = "release: {when: always, grace: 0s}\n"
QUICK = "stop_grace: 1s\n"

ENDS = {
    # name: (job file, exit code, outcome)
    "succeeding": ('run: "true"\n', 0, "succeeded"),
    "failing": ("run: exit 3\n", 3, "failed"),
    "signalled": ('run: "kill -KILL $$"\n', 137, "signalled"),
    "timed out": ("run: sleep 100\nmax_duration: 0.3s\n", 124, "over_limit"),
    "ignoring TERM": ("run: trap '' TERM INT; sleep 100; sleep 100\nmax_duration: 0.3s\n", 124, "over_limit"),
    "leaving a daemon": ("run: (setsid sleep 100 &) ; exit 0\n", 0, "succeeded"),
    "leaving a deaf daemon": (
        'run: "setsid bash -c \'trap \\"\\" TERM; sleep 100; sleep 100\' & exit 5"\n',
        5,
        "failed",
    ),
    "not startable": ("run: [/nonexistent/program]\n", 127, "could_not_start"),
    "not executable": ("run: [/etc/passwd]\n", 126, "could_not_start"),
    "setup failing": ('setup: exit 7\nrun: "true"\n', 7, "setup_failed"),
    "declaring an output": (
        "run: mkdir out && echo 1 > out/model\noutputs: [{path: out, to: ../saved}]\n",
        0,
        "succeeded",
    ),
}


@pytest.mark.parametrize("name", ENDS)
@pytest.mark.parametrize("tty", [False, True], ids=["pipes", "terminal"])
def test_always_releases_once_after_every_end(scene: Scene, name: str, tty: bool) -> None:
    """`when: always` leads to one accepted request after each kind of end, and the job's own code stays."""
    job, code, outcome = ENDS[name]
    with scene.managed() as endpoint:
        ended = scene.run_job(job + QUICK + NOW, *(["--tty"] if tty else []))
        assert (ended.code, len(endpoint.requests)) == (code, 1), ended.err
    request = endpoint.requests[0]
    assert (request.method, request.path, request.body) == ("POST", "/unassign", b"")
    (result,) = scene.results()
    assert (result["outcome"], result["exit_code"], result["state"]) == (outcome, code, "done")
    assert result["release"]["status"] == "accepted"
    assert result["release"]["nonce"] == request.nonce
    assert result["money_still_running"] == {"unknown": "not-confirmed"}


POLICIES = [
    # when, name of the end, requests, status
    ("success", "succeeding", 1, "accepted"),
    ("success", "failing", 0, "held"),
    ("success", "timed out", 0, "held"),
    ("failure", "succeeding", 0, "held"),
    ("failure", "failing", 1, "accepted"),
    ("failure", "signalled", 1, "accepted"),
    ("failure", "not startable", 1, "accepted"),
    ("failure", "setup failing", 1, "accepted"),
    ("never", "succeeding", 0, "not-asked"),
    ("never", "failing", 0, "not-asked"),
]


@pytest.mark.parametrize(("when", "name", "requests", "status"), POLICIES)
def test_the_policy_decides(scene: Scene, when: str, name: str, requests: int, status: str) -> None:
    """`release.when` against the outcome; what it does not release is kept, and said with the way out."""
    job, code, _ = ENDS[name]
    with scene.managed() as endpoint:
        ended = scene.run_job(f"{job}{QUICK}release: {{when: {when}, grace: 0s}}\n")
        assert (ended.code, len(endpoint.requests)) == (code, requests), ended.err
    assert scene.results()[0]["release"]["status"] == status
    if status != "accepted":
        assert "colab-run release" in ended.err
        assert scene.results()[0]["money_still_running"] is True


def test_without_the_key_a_managed_runtime_waits_for_idleness(scene: Scene) -> None:
    """The default on Colab is `idle`: nothing is sent at the end, and it is said what happens when."""
    with scene.managed() as endpoint:
        ended = scene.run_job('run: "true"\n')
        assert (ended.code, endpoint.requests) == (0, [])
    release = scene.results()[0]["release"]
    assert (release["status"], release["reason"], release["then"]) == ("held", "idle", "release")
    assert "nothing has shown life for 30 m" in " ".join(ended.err.split())
    assert "colab-run release" in ended.err


def test_no_release_keeps_the_runtime(scene: Scene) -> None:
    """`--no-release` outweighs the job file."""
    with scene.managed() as endpoint:
        ended = scene.run_job('run: "true"\n' + NOW, "--no-release")
        assert (ended.code, endpoint.requests) == (0, [])
    release = scene.results()[0]["release"]
    assert (release["status"], release["reason"]) == ("not-asked", "no-release-option")


def test_exec_releases_only_when_told(scene: Scene) -> None:
    """`exec` never releases, unless --release is given."""
    with scene.managed() as endpoint:
        assert scene.run("exec", "--", "true").code == 0
        assert endpoint.requests == []
    # The grace of a release that was asked for on the command line can be stopped like any other.
    with scene.managed() as endpoint:
        process = scene.start("exec", "--release", "--", "true")
        until(lambda: scene.results()[-1]["state"] == "releasing", "the countdown of exec --release")
        process.send_signal(signal.SIGINT)
        assert scene.end(process).code == 0
        assert endpoint.requests == []


@pytest.mark.parametrize("bad", ["run: sleep 1\nbudget: oops\n", "run: [\n", "rum: true\n"])
def test_a_badly_written_job_starts_and_releases_nothing(scene: Scene, bad: str) -> None:
    """65: no run, no folder, no request."""
    with scene.managed() as endpoint:
        ended = scene.run_job(bad)
        assert (ended.code, endpoint.requests) == (65, []), ended.err
    assert scene.results() == []


def test_a_refused_job_starts_and_releases_nothing(scene: Scene) -> None:
    """69: requirements that are not met; the result file says that colab-run decided it."""
    with scene.managed() as endpoint:
        ended = scene.run_job(
            "resources: {ram: 900TB}\nrun: touch started\n" + NOW, "--result", "result.json"
        )
        assert (ended.code, endpoint.requests) == (69, []), ended.err
    assert not (scene.work / "started").exists()
    assert scene.results() == []
    assert '"decided_by": "colab-run"' in (scene.work / "result.json").read_text()


def test_check_starts_and_releases_nothing(scene: Scene) -> None:
    """`check` answers on stdout with 0 or 69, and that is all."""
    with scene.managed() as endpoint:
        job = scene.write_job("run: touch started\n" + NOW)
        assert scene.run("check", job).code == 0
        scene.write_job("resources: {ram: 900TB}\nrun: touch started\n" + NOW)
        ended = scene.run("check", job, "--json")
        assert (ended.code, ended.document["verdict"]) == (69, "short")
        assert endpoint.requests == []
    assert not (scene.work / "started").exists()


# --- the endpoint misbehaves --------------------------------------------------------------------


@pytest.mark.parametrize(
    "script", [(500, 503, 200), (drip, 200), (hang_up, 404, 200)], ids=["5xx", "slow", "mixed"]
)
def test_what_passes_is_retried(scene: Scene, script: tuple[object, ...]) -> None:
    """Errors, time-outs and refusals are retried with the same nonce until one request is accepted."""
    if drip in script:
        scene.ask_in("2s", give_up="5m")
    with scene.managed(*script) as endpoint:
        ended = scene.run_job('run: "true"\n' + NOW)
        assert (ended.code, len(endpoint.requests)) == (0, len(script)), ended.err
    assert len({request.nonce for request in endpoint.requests}) == 1
    assert scene.results()[0]["release"]["attempts"] == len(script)


@pytest.mark.parametrize(
    ("script", "reason"),
    [((500,), "http-500"), ((redirect,), "http-302"), ((204,), "http-204"), ((drip,), "timeout")],
    ids=["500", "redirect", "204", "never ends"],
)
def test_what_does_not_pass_is_75(scene: Scene, script: tuple[object, ...], reason: str) -> None:
    """Only 200 is success; nothing accepted in time is exit code 75, and it still costs money."""
    if drip in script:
        scene.ask_in("0.5s")
    with scene.managed(*script) as endpoint:
        ended = scene.run_job('run: "true"\n' + NOW)
        assert ended.code == 75, ended.err
    assert len(endpoint.requests) > 1
    assert {request.path for request in endpoint.requests} == {"/unassign"}
    (result,) = scene.results()
    assert (result["release"]["status"], result["release"]["reason"]) == ("failed", reason)
    assert (result["money_still_running"], result["outcome"]) == (True, "succeeded")
    assert "colab-run release" in ended.err


def test_a_dead_endpoint_is_reported(scene: Scene) -> None:
    """Nobody listens: 75 after a success, but a failed job keeps its own code."""
    dead = {"TBE_RUNTIME_ADDR": dead_address()}
    assert scene.run_job('run: "true"\n' + NOW, env=dead).code == 75
    assert scene.run_job("run: exit 4\n" + NOW, env=dead).code == 4
    assert [result["release"]["reason"] for result in scene.results()] == ["connection-refused"] * 2


def test_proxies_are_not_used(scene: Scene) -> None:
    """The address is inside the VM: proxy variables of the environment do not apply to it."""
    proxies = {"http_proxy": f"http://{dead_address()}", "HTTP_PROXY": f"http://{dead_address()}"}
    with scene.managed() as endpoint:
        assert scene.run_job('run: "true"\n' + NOW, env=proxies).code == 0
        assert len(endpoint.requests) == 1


def test_a_garbled_address_is_said_before_the_job_starts(scene: Scene) -> None:
    """A release that cannot work is said at the start, and is 75 at the end, at once."""
    ended = scene.run_job('run: "true"\n' + NOW, env={"TBE_RUNTIME_ADDR": "not a host"})
    assert ended.code == 75
    assert scene.results()[0]["release"]["reason"] == "bad-address"
    assert "next try" not in ended.err
    assert ended.err.index("the release cannot work") < ended.err.index("succeeded")


# --- a person -----------------------------------------------------------------------------------


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_stopped_run_keeps_the_runtime(scene: Scene, number: int, code: int) -> None:
    """A person who presses stop is about to change a line and run again."""
    with scene.managed() as endpoint:
        process = scene.start("run", scene.write_job("run: touch ready; sleep 100\n" + QUICK + NOW))
        until((scene.work / "ready").exists, "the job's first line")
        process.send_signal(number)
        ended = scene.end(process)
        assert (ended.code, endpoint.requests) == (code, []), ended.err
    (result,) = scene.results()
    assert (result["outcome"], result["decided_by"]) == ("interrupted", "colab-run")
    assert (result["release"]["status"], result["release"]["reason"]) == ("held", "ended-by-person")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_press_stops_the_countdown(scene: Scene, number: int) -> None:
    """The countdown is announced, and a press keeps the runtime; the job's code is unaffected."""
    with scene.managed() as endpoint:
        job = scene.write_job("run: exit 6\nrelease: {when: always, grace: 1h}\n")
        said = scene.folder / "said"
        with said.open("wb") as file:
            process = scene.start("run", job, stderr=file)
        until(lambda: "releasing this runtime in 1 h" in said.read_text(), "the countdown")
        process.send_signal(number)
        assert (scene.end(process).code, endpoint.requests) == (6, [])
    assert scene.results()[0]["release"]["reason"] == "ended-by-person"


def test_a_hold_file_stops_the_countdown(scene: Scene) -> None:
    """A file named HOLD in the run's folder keeps the runtime."""
    job = 'run: touch "$COLAB_RUN_DIR/HOLD"\n'
    with scene.managed() as endpoint:
        ended = scene.run_job(job + "release: {when: always, grace: 1h}\n")
        assert (ended.code, endpoint.requests) == (0, [])
    assert scene.results()[0]["release"]["reason"] == "hold-file"


def test_the_grace_passes_before_the_request(scene: Scene) -> None:
    """The request comes after the grace, not before."""
    with scene.managed() as endpoint:
        process = scene.start("run", scene.write_job('run: "true"\nrelease: {when: always, grace: 3s}\n'))
        until(lambda: any(r["state"] == "releasing" for r in scene.results()), "the countdown")
        assert endpoint.requests == []
        assert scene.end(process).code == 0
        assert len(endpoint.requests) == 1


# --- not managed --------------------------------------------------------------------------------


def test_elsewhere_a_release_is_not_managed(scene: Scene) -> None:
    """On a laptop: one line, no countdown, the exit code unaffected."""
    ended = scene.run_job('run: "true"\nrelease: {when: always, grace: 1h}\n')
    assert ended.code == 0
    assert scene.results()[0]["release"]["status"] == "not-managed"
    assert scene.results()[0]["money_still_running"] == {"unknown": "not-managed"}
    assert ended.err.count("not released") == 1


def test_elsewhere_without_the_key_nothing_is_said(scene: Scene) -> None:
    """Nobody asked for a release, and none could be: no word about it."""
    ended = scene.run_job('run: "true"\n')
    assert ended.code == 0
    assert scene.results()[0]["release"]["status"] == "not-asked"
    assert "release" not in ended.err
