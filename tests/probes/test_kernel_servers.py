"""Which Jupyter servers are found, and servers that refuse, hang, drip and talk nonsense."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from helpers import jupyter
from helpers.endpoint import drip, hang_up, redirect
from helpers.jupyter import LONG_S, NONE, StandIn, kernels, list_server, model, read_in, say
from helpers.lab import state_of, until
from launcher.probes.kernels import Kernel, KernelsReading, UnreadServer, busy_elsewhere, read_kernels
from launcher.values import Known, Unknown

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

NOTHING = KernelsReading((), ())
SHORT_S = 0.6
# What a machine with other work needs beyond the deadline.
SLACK_S = 1.5


# --- which servers there are -----------------------------------------------------------------------


def test_no_server(tmp_path: Path) -> None:
    """No server, no folder, or a folder with other files: nothing is seen and nothing is missing."""
    assert read_in(tmp_path) == NOTHING
    folder = tmp_path / ".local/share/jupyter/runtime"
    folder.mkdir(parents=True)
    (folder / "kernel-1.json").write_text("{}")
    (folder / f"jpserver-{os.getpid()}-open.html").write_text("<html>")
    assert read_in(tmp_path) == NOTHING


@pytest.mark.parametrize(
    ("environ", "folder"),
    [
        ({}, ".local/share/jupyter/runtime"),
        ({"XDG_DATA_HOME": "{home}/xdg"}, "xdg/jupyter/runtime"),
        ({"JUPYTER_DATA_DIR": "{home}/data"}, "data/runtime"),
        ({"JUPYTER_DATA_DIR": "{home}/data", "JUPYTER_RUNTIME_DIR": "{home}/run"}, "run"),
        ({"XDG_RUNTIME_DIR": "{home}/user"}, "user/jupyter"),
    ],
)
def test_where_servers_are_listed(tmp_path: Path, environ: dict[str, str], folder: str) -> None:
    """Jupyter's runtime folder is found by the same variables as Jupyter finds it."""
    with StandIn(kernels(model("k"))) as server:
        list_server(tmp_path, server.url, folder=tmp_path / folder)
        reading = read_in(tmp_path, **{key: text.format(home=tmp_path) for key, text in environ.items()})
    assert [kernel.kernel_id for kernel in reading.kernels] == ["k"]


def test_token_and_base_url_of_a_classic_notebook(tmp_path: Path) -> None:
    """An `nbserver` file is read as well; its token goes into the header, never into the address."""
    with StandIn(kernels(model("k"))) as server:
        url = f"http://me:pass-word@127.0.0.1:{server.port}/deep/er/?token=sec-ret"
        list_server(tmp_path, url, kind="nb", token="sec-ret")
        reading = read_in(tmp_path)
    (heard,) = server.heard
    assert heard == jupyter.Heard("/deep/er/api/kernels?no_track_activity=1", "token sec-ret")
    assert reading.kernels[0].server == f"http://127.0.0.1:{server.port}/deep/er/"
    assert "sec-ret" not in repr(reading) and "pass-word" not in repr(reading)


def test_a_server_on_a_unix_socket(tmp_path: Path) -> None:
    """A server without a port is asked through its socket."""
    path = tmp_path / "sock"
    with StandIn(kernels(model("k", "busy")), str(path)) as server:
        url = f"http+unix://{str(path).replace('/', '%2F')}/base/"
        list_server(tmp_path, url, sock=str(path), base_url="/base/", token="t")
        reading = read_in(tmp_path)
    assert server.heard == [jupyter.Heard("/base/api/kernels?no_track_activity=1", "token t")]
    assert [kernel.state for kernel in reading.kernels] == [Known("busy")]
    assert reading.unread == ()


@pytest.mark.parametrize(("host", "reason"), [("127.0.0.1", None), ("127.0.0.2", "bad-certificate")])
def test_https(tmp_path: Path, host: str, reason: str | None) -> None:
    """A certificate that a server signed itself is enough on the way to ourselves, and nowhere else."""
    if shutil.which("openssl") is None:
        pytest.skip("needs openssl")
    key, certificate = tmp_path / "key.pem", tmp_path / "cert.pem"
    files = ("-keyout", str(key), "-out", str(certificate))
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=me", "-days", "1", *files],
        check=True,
        capture_output=True,
    )
    server = StandIn(kernels(model("k")), (host, 0))
    server.speak_tls(certificate, key)
    with server:
        list_server(tmp_path, server.url)
        reading = read_in(tmp_path)
    if reason is None:
        assert [kernel.kernel_id for kernel in reading.kernels] == ["k"]
    assert [one.reason for one in reading.unread] == ([reason] if reason else [])


def ended_process(*, reaped: bool) -> subprocess.Popen[bytes]:
    process = subprocess.Popen([sys.executable, "-c", ""])
    if reaped:
        process.wait()
    else:
        until(lambda: state_of(process.pid) == "Z", "a zombie")
    return process


@pytest.mark.parametrize("reaped", [True, False])
def test_a_stale_file_is_passed_by(tmp_path: Path, reaped: bool) -> None:
    """A server that was killed leaves its file; it is no server that could not be read."""
    process = ended_process(reaped=reaped)
    try:
        with StandIn(kernels(model("k"))) as server:
            list_server(tmp_path, server.url, pid=process.pid)
            path = list_server(tmp_path, server.url, pid=process.pid, kind="nb")
            path = path.rename(
                path.with_name(f"nbserver-{os.getpid()}.json")
            )  # the name lives, the content does not
            assert read_in(tmp_path) == NOTHING
            path.unlink()
            list_server(tmp_path, server.url, pid=process.pid).write_text("cut o")
            assert read_in(tmp_path) == NOTHING
        assert server.heard == []
    finally:
        process.wait()


def test_a_number_that_another_process_has_now(tmp_path: Path) -> None:
    """A file older than the process of its number is stale where nobody answers; a newer one is unread."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))  # and does not listen
        url = f"http://127.0.0.1:{unused.getsockname()[1]}/"
        path = list_server(tmp_path, url)
        assert read_in(tmp_path) == KernelsReading((), (UnreadServer(url, "connection-refused"),))
        long_ago = time.time() - 30 * 86400
        os.utime(path, (long_ago, long_ago))
        assert read_in(tmp_path) == NOTHING


def test_the_old_file_of_an_address_hides_no_server(tmp_path: Path) -> None:
    """Two files with one address and two tokens: each is tried, and the one that is right counts."""

    def answer(handler: jupyter.BaseHTTPRequestHandler) -> None:
        right = handler.headers.get("Authorization") == "token new"
        say(handler, json.dumps([model("k", "busy")]).encode() if right else b"{}", 200 if right else 403)

    with StandIn(answer) as server:
        old = list_server(tmp_path, server.url, token="old")
        os.utime(old, (0, 0))
        list_server(tmp_path, server.url, token="new", kind="nb")
        reading = read_in(tmp_path)
    assert [kernel.kernel_id for kernel in reading.kernels] == ["k"]
    assert reading.unread == ()


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("", "bad-file"),
        ("[]", "bad-file"),
        ('{"url": 5}', "bad-file"),
        ('{"url": "ftp://127.0.0.1/"}', "bad-file"),
        ('{"url": "http://127.0.0.1:1/", "token": "a\\nb: c"}', "bad-file"),
        ('{"url": "http://127.0.0.1:port/"}', "bad-address"),
        ('{"url": "http://127.0.0.1:1/", "token": "\u20ac"}', "connection-refused bad-address"),
        ("[" * 60000, "bad-file"),
    ],
)
def test_a_file_that_makes_no_sense(tmp_path: Path, content: str, reason: str) -> None:
    """The file of a living process that says no address is a server that could not be read."""
    list_server(tmp_path, "").write_text(content)
    reading = read_in(tmp_path)
    assert reading.kernels == ()
    assert reading.unread[0].reason in reason.split()


def test_a_file_system_that_hangs(tmp_path: Path) -> None:
    """When not even the list of servers can be had, that is said, and costs no more than the deadline."""
    path = list_server(tmp_path, "")
    path.unlink()
    os.mkfifo(path)  # opening it waits for a writer
    began = time.monotonic()
    assert read_in(tmp_path, deadline_s=SHORT_S) == KernelsReading((), (UnreadServer("", "timeout"),))
    assert time.monotonic() - began < SHORT_S + SLACK_S


def test_more_servers_than_anyone_has(tmp_path: Path) -> None:
    """Beyond a bound servers are not asked, and are named."""
    with StandIn(kernels()) as server:
        path = list_server(tmp_path, server.url)
        info = json.loads(path.read_text())
        for number in range(40):
            info["url"] = f"{server.url}{number}/"
            path.with_name(f"jpserver-{os.getpid()}{'-' * number}.json").write_text(json.dumps(info))
        reading = read_in(tmp_path)
    assert len(server.heard) == 32
    assert [one.reason for one in reading.unread] == ["too-many-servers"] * 8


# --- Colab -------------------------------------------------------------------------------------------


def on_colab(port: int, *, deadline_s: float = LONG_S, **more: str) -> KernelsReading:
    environ = {
        "COLAB_JUPYTER_IP": "127.0.0.1",
        "KMP_TARGET_PORT": str(port),
        "COLAB_JUPYTER_TOKEN": "",
        **more,
    }
    return read_kernels(environ, own=frozenset({"mine"}), deadline_s=deadline_s)


def test_colab(tmp_path: Path) -> None:
    """Colab's server is asked at its address, without a token; the files of servers are not looked at."""
    with StandIn(kernels(model("mine", "busy"), model("other", "idle"))) as server:
        list_server(tmp_path, f"http://127.0.0.1:{server.port}/listed/")
        reading = on_colab(server.port, HOME=str(tmp_path))
    assert server.heard == [jupyter.Heard("/api/kernels?no_track_activity=1", None)]
    assert reading.unread == ()
    assert [(kernel.kernel_id, kernel.own) for kernel in reading.kernels] == [
        ("mine", True),
        ("other", False),
    ]
    assert reading.kernels[0] == Kernel(
        "mine", server.url, "python3", Known("busy"), Known(1795359361.772776), own=True
    )
    assert busy_elsewhere(reading, now=0) is None


def test_colab_without_a_port() -> None:
    """Without KMP_TARGET_PORT the server is at 9000."""
    try:
        server = StandIn(kernels(model("k")), ("127.83.17.5", 9000))
    except OSError as error:
        pytest.skip(f"needs port 9000 of 127.83.17.5: {error}")
    with server:
        reading = read_kernels({"COLAB_JUPYTER_IP": "127.83.17.5"}, own=NONE, deadline_s=LONG_S)
    assert [kernel.kernel_id for kernel in reading.kernels] == ["k"]


# --- servers that are ill ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (jupyter.silent, "timeout"),
        (drip, "timeout"),
        (jupyter.drip_body, "timeout"),
    ],
)
def test_a_server_that_does_not_come_to_an_end(
    answer: Callable[[jupyter.BaseHTTPRequestHandler], None], reason: str
) -> None:
    """Silence, or a byte now and then: the server is unread, at the cost of the deadline."""
    with StandIn(answer) as server:
        began = time.monotonic()
        # A part of it is for whoever asks: on a busy machine, too, its answer comes before the end.
        reading = on_colab(server.port, deadline_s=8.0)
        took = time.monotonic() - began
    assert reading == KernelsReading((), (UnreadServer(server.url, reason),))
    assert took < 8.0 + SLACK_S


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (lambda handler: say(handler, b"{}", 403), "http-403"),
        (lambda handler: say(handler, b"[]", 500), "http-500"),
        (redirect, "http-302"),
        (hang_up, "unexpected-answer connection-lost"),
        (jupyter.flood, "too-large"),
        (lambda handler: say(handler, b""), "unexpected-answer"),
        (lambda handler: say(handler, b"\xff\xfe nonsense"), "unexpected-answer"),
        (lambda handler: say(handler, b"{}"), "unexpected-answer"),
        (lambda handler: say(handler, b"[" * 100_000), "unexpected-answer"),
        (lambda handler: handler.wfile.write(b"SSH-2.0-OpenSSH_9.6\r\n"), "unexpected-answer"),
    ],
)
def test_a_server_that_says_something_else(
    answer: Callable[[jupyter.BaseHTTPRequestHandler], None], reason: str
) -> None:
    """Everything but a list of kernels is a server that could not be read; it is asked only once."""
    with StandIn(answer) as server:
        reading = on_colab(server.port)
    assert reading.kernels == ()
    (unread,) = reading.unread
    assert unread.server == server.url
    assert unread.reason in reason.split()
    assert len(server.heard) == 1


@pytest.mark.parametrize("port", ["none", "99999999"])
def test_an_address_that_is_none(port: str) -> None:
    """A port that is no number is said, not raised."""
    environ = {"COLAB_JUPYTER_IP": "127.0.0.1", "KMP_TARGET_PORT": port}
    reading = read_kernels(environ, own=NONE, deadline_s=LONG_S)
    assert reading == KernelsReading((), (UnreadServer(f"http://127.0.0.1:{port}/", "bad-address"),))


def test_an_entry_that_makes_no_sense_takes_no_other_with_it() -> None:
    """The kernels that can be understood are there, and that one could not is said."""
    with StandIn(kernels(5, model("a b"), {"id": None}, model("k", "busy"))) as server:
        reading = on_colab(server.port)
    assert [kernel.kernel_id for kernel in reading.kernels] == ["k"]
    assert reading.unread == (UnreadServer(server.url, "unexpected-answer"),)


def test_fields_that_a_server_does_not_tell() -> None:
    """A state or a time that is missing or no such thing is unknown; the kernel is still there."""
    models = [
        {"id": "bare"},
        model("odd", 7, last_activity="yesterday", name=["x"]),
        model("evil", "busy\x1b[2J", name="\x1b]0;x\x07" + "n" * 200, last_activity=1.5),
        model("no-zone", last_activity="2026-11-22T14:56:01"),
    ]
    with StandIn(kernels(*models)) as server:
        reading = on_colab(server.port)
    seen = {kernel.kernel_id: kernel for kernel in reading.kernels}
    for kernel_id in ("bare", "odd", "evil"):
        assert seen[kernel_id].state == seen[kernel_id].last_activity == Unknown("not-told")
    assert seen["no-zone"].last_activity == Unknown("not-told")
    assert seen["bare"].name == seen["odd"].name == ""
    assert seen["evil"].name == "]0;x" + "n" * 96
    assert reading.unread == ()
