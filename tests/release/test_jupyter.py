"""`with: jupyter` and `{jupyter: kernel}` against a real Jupyter server, which really ends, or one kernel."""

from __future__ import annotations

import json
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from helpers.cli import command
from helpers.jupyter import Jupyter, StandIn, list_server, say
from helpers.lab import processes_with
from helpers.scene import until
from launcher.backing import backend_again, backend_here, find_server
from launcher.children import call_in_child
from launcher.probes.model import Platform, PlatformKind
from launcher.release.jupyter import Hub, JupyterKernel, JupyterServer, Server, hub_of
from launcher.spec.model import Argv, JobSpec, ReleasePolicy, ReleaseWith, With
from launcher.values import Known

if TYPE_CHECKING:
    from collections.abc import Iterator
    from http.server import BaseHTTPRequestHandler
    from pathlib import Path

    from helpers.scene import Scene

pytest.importorskip("jupyter_server", reason="no jupyter_server")

SERVER = "release: {with: jupyter, when: always, grace: 0s, confirm: 5s}\n"
KERNEL = "release: {with: {jupyter: kernel}, when: always, grace: 0s, confirm: 1s}\n"
A_LONG_TIME_S = 20.0


def nothing() -> None:
    """Nobody asks."""


@pytest.fixture
def jupyter(tmp_path: Path) -> Iterator[Jupyter]:
    with Jupyter(tmp_path / "jupyter") as jupyter:
        yield jupyter


def cell(scene: Scene, jupyter: Jupyter, kernel: str, *words: str) -> None:
    """`!colab-run …` in a cell of this kernel, with nobody waiting for it."""
    env = {**jupyter.environ, **scene.env, "JPY_PARENT_PID": str(jupyter.process.pid)}
    code = (
        "import subprocess\n"
        f"done = subprocess.run({[*command(), *words]!r}, cwd={str(scene.work)!r}, env={env!r},\n"
        "    stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)\n"
    )
    jupyter.client(kernel).execute(code)


def told(scene: Scene, status: str) -> dict[str, Any]:
    """The record of the only run, once its release stands so."""
    until(lambda: scene.results() and scene.results()[0]["release"]["status"] == status, status)
    return scene.results()[0]


def server_of(jupyter: Jupyter) -> Server:
    found = find_server({**jupyter.environ, "JPY_PARENT_PID": str(jupyter.process.pid)}, None)
    assert isinstance(found, Server), found
    return found


# --- whole runs -----------------------------------------------------------------------------------


def test_the_server_ends_with_all_its_kernels(scene: Scene, jupyter: Jupyter) -> None:
    """A cell of one of its kernels asked for it; the guard, which has outlived it, sees that it has gone."""
    kernel, other = jupyter.start_kernel(), jupyter.start_kernel()
    jupyter.client(other)  # Idle: one that nobody has talked to is coming up, and holds the release.
    scene.write_job('run: "true"\n' + SERVER)
    with scene.managed() as endpoint:
        cell(scene, jupyter, kernel, "run", "job.yaml")
        assert jupyter.process.wait(timeout=A_LONG_TIME_S) == 0
        result = told(scene, "confirmed")
        assert endpoint.requests == []
    assert (result["release"]["reason"], result["release"]["attempts"]) == ("gone", 1)
    # What is paid for is the machine, and that is still here.
    assert result["money_still_running"] is True
    until(lambda: not processes_with(jupyter.cookie), "the end of all its kernels")


def test_one_kernel_ends_and_the_server_goes_on(scene: Scene, jupyter: Jupyter) -> None:
    """The one whose cell we are in, and no other."""
    kernel, other = jupyter.start_kernel(), jupyter.start_kernel()
    jupyter.client(other)
    scene.write_job('run: "true"\n' + KERNEL)
    with scene.managed() as endpoint:
        cell(scene, jupyter, kernel, "run", "job.yaml")
        told(scene, "confirmed")
        assert endpoint.requests == []
    assert [row["id"] for row in jupyter.call("GET", "api/kernels")] == [other]
    assert jupyter.process.poll() is None


def test_outside_of_a_notebook_it_is_said_first(scene: Scene) -> None:
    """No server of ours, no kernel above us: said before the job starts, and 75 at its end."""
    empty = {"JUPYTER_RUNTIME_DIR": str(scene.folder / "none"), "HOME": str(scene.folder)}
    for release, why, reason in (
        (SERVER, "no Jupyter server", "no-server"),
        (KERNEL, "this is not a cell of a notebook", "no-kernel"),
    ):
        ended = scene.run_job('run: "true"\n' + release, env=empty)
        assert ended.code == 75, ended.err
        assert ended.err.index(f"the release cannot work: {why}") < ended.err.index("succeeded")
        assert scene.results()[-1]["release"]["reason"] == reason


def test_the_token_is_in_nothing_that_is_written(scene: Scene, jupyter: Jupyter) -> None:
    """Not in the plan, not in the result, not in what was said."""
    scene.write_job('run: "true"\n' + SERVER)
    scene.env = {**jupyter.environ, **scene.env, "JPY_PARENT_PID": str(jupyter.process.pid)}
    with scene.managed():
        ended = scene.run("run", "job.yaml", "--no-release")
    assert ended.code == 0
    until(lambda: not scene.leftovers(), "the end of the guard")
    files = [path for path in scene.home.rglob("*") if path.is_file()]
    (plan,) = (path for path in files if path.name == "plan.json")
    assert json.loads(plan.read_text())["backend"] == {"name": "jupyter", "server": jupyter.url, "hub": None}
    assert not [path for path in files if jupyter.token.encode() in path.read_bytes()]


# --- which server ---------------------------------------------------------------------------------


def test_of_several_servers_the_one_above_us_is_ours(tmp_path: Path) -> None:
    """By the process that is said to be our parent; where nothing tells them apart, none is taken."""
    home = tmp_path
    with StandIn(partial(say, body=b"{}")) as first, StandIn(partial(say, body=b"{}")) as second:
        list_server(home, first.url, pid=1)
        assert getattr(find_server({"HOME": str(home)}, None), "url", None) == first.url
        list_server(home, second.url)
        assert "2 Jupyter servers" in str(find_server({"HOME": str(home)}, None))
        ours = find_server({"HOME": str(home), "JPY_PARENT_PID": "1"}, None)
        assert getattr(ours, "url", None) == first.url
        again = find_server({"HOME": str(home)}, None, second.url)
        assert getattr(again, "url", None) == second.url


# --- asking ---------------------------------------------------------------------------------------


def test_permission_changes_nothing(jupyter: Jupyter) -> None:
    """A server and a kernel that would do what we ask; a wrong token, a kernel that is not there."""
    kernel = jupyter.start_kernel()
    server = server_of(jupyter)
    assert JupyterServer(server).permission() == ""
    assert JupyterKernel(server, kernel).permission() == ""
    assert "answers 404" in str(JupyterKernel(server, "0000").permission())
    wrong = Server(server.url, server.base, server.connect, "not-the-token", server.pid)
    assert "answers 403" in str(JupyterServer(wrong).permission())
    assert "answers 403" in str(JupyterKernel(wrong, kernel).permission())
    assert [row["id"] for row in jupyter.call("GET", "api/kernels")] == [kernel]


def test_a_wrong_token_is_refused(jupyter: Jupyter) -> None:
    """403 is no success, and the server goes on."""
    server = server_of(jupyter)
    wrong = Server(server.url, server.base, server.connect, "not-the-token", server.pid)
    answer = JupyterServer(wrong).ask("n", A_LONG_TIME_S, nothing)
    assert (answer.http_status, answer.accepted, answer.firm) == (403, False, True)
    assert JupyterServer(wrong).gone(A_LONG_TIME_S, nothing) == Known(False)
    assert jupyter.process.poll() is None


def test_what_has_gone_already_is_accepted(jupyter: Jupyter) -> None:
    """A guard before us had asked for it, and was killed before the answer."""
    server, kernel = server_of(jupyter), jupyter.start_kernel()
    backend = JupyterKernel(server, kernel)
    assert backend.gone(A_LONG_TIME_S, nothing) == Known(False)
    assert backend.ask("n", A_LONG_TIME_S, nothing).http_status == 204
    assert backend.gone(A_LONG_TIME_S, nothing) == Known(True)
    assert backend.ask("n", A_LONG_TIME_S, nothing)[:4] == (404, "http-404", 0.0, True)
    assert JupyterServer(server).ask("n", A_LONG_TIME_S, nothing).accepted
    jupyter.process.wait(timeout=A_LONG_TIME_S)
    assert JupyterServer(server).gone(A_LONG_TIME_S, nothing) == Known(True)
    assert JupyterServer(server).ask("n", A_LONG_TIME_S, nothing).accepted
    assert backend.gone(A_LONG_TIME_S, nothing) == Known(True)


# --- JupyterHub, whose API a server of ours plays ---------------------------------------------------


class StandInHub:
    """Answers as the hub's API does; `heard` is (method, path, token) of every request."""

    def __init__(self, scopes: list[str] | None, deleted: int = 204) -> None:
        self.heard: list[tuple[str, str, str | None]] = []
        self._scopes, self._deleted = scopes, deleted

    def __call__(self, handler: BaseHTTPRequestHandler) -> None:
        self.heard.append((handler.command, handler.path, handler.headers.get("Authorization")))
        if handler.command == "DELETE":
            say(handler, b"", self._deleted)
        else:
            say(handler, json.dumps({"name": "ada", "scopes": self._scopes}).encode())


def environ_of(url: str, **more: str) -> dict[str, str]:
    return {
        "JUPYTERHUB_API_URL": f"{url}hub/api",
        "JUPYTERHUB_API_TOKEN": "secret-token",
        "JUPYTERHUB_USER": "ada@lab",
        **more,
    }


@pytest.mark.parametrize(
    ("more", "path"),
    [
        ({}, "/hub/api/users/ada%40lab/server"),
        ({"JUPYTERHUB_SERVER_NAME": "gpu/1"}, "/hub/api/users/ada%40lab/servers/gpu%2F1"),
    ],
)
def test_a_stand_in_hub_ends_the_server(more: dict[str, str], path: str) -> None:
    """The hub is asked by the path of this very server, named ones included."""
    hub = StandInHub(["access:servers!server=ada/", "delete:servers!user=ada"])
    with StandIn(hub) as server:
        backend = JupyterServer(None, hub_of(environ_of(server.url, **more)))
        assert backend.permission() == ""
        assert backend.ask("n", A_LONG_TIME_S, nothing).accepted
    assert hub.heard == [
        ("GET", "/hub/api/user", "token secret-token"),
        ("DELETE", path, "token secret-token"),
    ]
    assert "secret-token" not in repr(backend)


@pytest.mark.parametrize(
    ("other", "reason"),
    [
        ({}, None),
        ({"JUPYTERHUB_USER": "bob"}, "no-server"),
        ({"JUPYTERHUB_SERVER_NAME": "gpu"}, "no-server"),
        ({"JUPYTERHUB_API_URL": "http://127.0.0.1:9/hub/api"}, "no-server"),
        ({"JUPYTERHUB_API_TOKEN": ""}, "no-server"),
    ],
)
def test_a_stand_in_hub_ends_no_server_of_whoever_takes_a_run_up(
    other: dict[str, str], reason: str | None, tmp_path: Path
) -> None:
    """Only the hub's server that was noted, by the token of whoever has the same; otherwise there is none."""
    spec = JobSpec("job", "/", Argv(("true",)), release=ReleasePolicy(how=ReleaseWith(With.JUPYTER)))
    place, home = Platform(PlatformKind.PLAIN), {"HOME": str(tmp_path)}
    hub = StandInHub(["delete:servers"])
    with StandIn(hub) as server:
        environ = {**home, **environ_of(server.url)}
        first = backend_here(spec, place, environ)
        assert first is not None
        assert "secret-token" not in json.dumps(first.as_json())
        again = backend_again(spec, place, {**environ, **other}, json.loads(json.dumps(first.as_json())))
        assert again is not None
        assert (again.hopeless() or (None,))[0] == reason
        assert again.ask("n", A_LONG_TIME_S, nothing).accepted == (reason is None)
    assert [method for method, _, _ in hub.heard] == ([] if reason else ["DELETE"])


def test_a_stand_in_hub_without_the_scope_leaves_it_to_the_server(jupyter: Jupyter) -> None:
    """What hubs let a server's token do by default does not include ending it: it then ends itself."""
    hub = StandInHub(["users:activity!user", "access:servers!server"], deleted=403)
    with StandIn(hub) as server:
        found = hub_of(environ_of(server.url))
        assert "does not let" in str(JupyterServer(None, found).permission())
        backend = JupyterServer(server_of(jupyter), found)
        assert backend.permission() == ""
        assert backend.ask("n", A_LONG_TIME_S, nothing).accepted
    jupyter.process.wait(timeout=A_LONG_TIME_S)


def test_a_stand_in_hub_that_refuses_is_no_success() -> None:
    """404, 403, 500: not accepted where nobody else can be asked."""
    for status in (404, 403, 500):
        with StandIn(StandInHub(None, deleted=status)) as server:
            hub = hub_of(environ_of(server.url))
            answer = JupyterServer(None, hub).ask("n", A_LONG_TIME_S, nothing)
            assert (answer.http_status, answer.accepted) == (status, False)


def test_no_hub_without_all_three() -> None:
    """An address without a token is none."""
    assert hub_of({"JUPYTERHUB_API_URL": "http://hub"}) is None
    hub = Hub("http://127.0.0.1:9/hub/api", "/users/ada/server", "t")
    assert not isinstance(call_in_child(lambda: hub.call("GET", "/user"), deadline_s=20), Known)
