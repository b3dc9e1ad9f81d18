"""`checks` and `inputs` as a user meets them: real interpreters, sockets and files; nothing is started."""

from __future__ import annotations

import errno
import json
import os
import socket
import subprocess
import sys
import time
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from helpers import fake_nvml
from helpers.checks import findings, hints
from launcher.probes import network
from launcher.probes.model import HostAnswer
from launcher.verdict.conditions import judge_host
from launcher.verdict.texts import explain
from launcher.words import Words

if TYPE_CHECKING:
    from collections.abc import Iterator

    from helpers.scene import Scene

RECORDED: dict[str, Any] = json.loads(
    (Path(__file__).parent.parent / "assets/wheels/recorded.json").read_text("utf-8")
)["wheels"]
needs_compiler = pytest.mark.skipif(fake_nvml.compiler() is None, reason="no C compiler")


class Venv:
    """An environment of its own, with packages that are no more than their metadata."""

    def __init__(self, folder: Path) -> None:
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
        self.folder = folder
        (self.site,) = (folder / "lib").glob("python*/site-packages")

    def add(self, name: str, version: str, build: tuple[str, str] | None = None) -> None:
        """As `pip install` leaves it."""
        info = self.site / f"{name.replace('-', '_')}-{version}.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n\n")
        if build is not None:
            path = self.site / build[0]
            path.parent.mkdir(parents=True)
            path.write_text(build[1])
            # Who imports the package instead of reading about it is caught.
            (self.site / name / "__init__.py").write_text("raise SystemExit('imported')\n")

    def add_real(self, recorded: str) -> None:
        """A wheel as it was recorded."""
        name, version = recorded.split()
        file = {"torch": "torch/version.py", "tensorflow": "tensorflow/python/platform/build_info.py"}.get(
            name
        )
        self.add(name, version, (file, RECORDED[recorded]["build"]) if file else None)


@pytest.fixture
def venv(scene: Scene) -> Venv:
    """The environment that is first on the PATH of the scene."""
    made = Venv(scene.folder / "venv")
    scene.env["PATH"] = f"{made.folder / 'bin'}:{scene.env['PATH']}"
    return made


# --- packages -------------------------------------------------------------------------------------


def test_packages_are_those_of_the_jobs_python(scene: Scene, venv: Venv) -> None:
    """Met, too old, missing, unreadable; under every spelling, and nothing is imported."""
    venv.add("torch", "2.9.1", ("torch/version.py", "cuda = '12.8'\n"))
    venv.add("scikit-learn", "1.5.0rc1")
    venv.add("homemade", "of.today")
    job = (
        "run: python train.py\n"
        'checks: {packages: ["torch>=2.4,<3", "Scikit.Learn>=1.5", "absent", "homemade>=1", homemade]}\n'
    )
    found = findings(scene, job)
    assert {name: one["status"] for name, one in found.items()} == {
        "package torch>=2.4,<3": "met",
        "package Scikit.Learn>=1.5": "short",
        "package absent": "short",
        "package homemade>=1": "unknown",
        "package homemade": "met",
    }
    assert found["package absent"]["found"] == "not installed"
    assert found["package torch>=2.4,<3"]["found"] == "2.9.1"
    assert {one["code"] for one in found.values()} == {"CR170"}
    refused = scene.run("run", "job.yaml")
    assert refused.code == 69
    assert "not installed" in refused.err
    # A long path is folded where the line ends.
    assert str(venv.folder / "bin/python") in "".join(refused.err.split())


@pytest.mark.parametrize(
    "run",
    [
        "run: {venv}/bin/python train.py",
        "run: [{venv}/bin/python, train.py]",
        "run: |\n  source {venv}/bin/activate\n  python train.py",
        "run: python train.py\nenv: {{PATH: '{venv}/bin:/usr/bin:/bin'}}",
        "run: ../venv/bin/python train.py",
    ],
)
def test_which_python(scene: Scene, run: str) -> None:
    """The one that the command starts, or the environment that it activates; else by the job's PATH."""
    made = Venv(scene.folder / "venv")
    made.add("only-here", "1.0")
    text = run.format(venv=made.folder) + "\nchecks: {packages: [only-here]}\n"
    assert findings(scene, text)["package only-here"]["status"] == "met"
    other = "run: python3 train.py\nchecks: {packages: [only-here]}\n"
    assert findings(scene, other)["package only-here"]["status"] == "short"


def test_files_of_the_users_folder_are_not_run(scene: Scene, venv: Venv) -> None:
    """An `os.py` on PYTHONPATH is the job's own affair; what is installed there counts."""
    more = scene.folder / "more"
    (more / "extra_thing-2.0.dist-info").mkdir(parents=True)
    (more / "os.py").write_text("raise SystemExit('ours')\n")
    job = f'run: python x.py\nenv: {{PYTHONPATH: "{more}"}}\nchecks: {{packages: ["extra-thing==2.*"]}}\n'
    assert findings(scene, job)["package extra-thing==2.*"]["status"] == "met"


@pytest.mark.parametrize(
    ("program", "reason"), [("exit 3", "python-failed"), ("exec sleep 60", "python-timeout")]
)
def test_a_python_that_does_not_answer(scene: Scene, program: str, reason: str) -> None:
    """Is not known, and says so in bounded time."""
    fake = scene.folder / "bin" / "python"
    fake.parent.mkdir()
    fake.write_text(f"#!/bin/sh\n{program}\n")
    fake.chmod(0o755)
    job = f"run: {fake} x.py\nchecks: {{packages: [torch]}}\n"
    begun = time.monotonic()
    assert findings(scene, job)["package torch"]["found"] == {"unknown": reason}
    assert time.monotonic() - begun < 10


def test_no_python_at_all(scene: Scene) -> None:
    """69 as unknown: the job may bring one."""
    job = "run: ./python9 x\nchecks: {packages: [torch]}\n"
    assert findings(scene, job)["package torch"]["found"] == {"unknown": "no-python"}


@pytest.mark.parametrize(
    "reason", ["no-python", "python-failed", "python-timeout", "network-failed", "network-timeout"]
)
def test_what_is_not_known_is_explained(reason: str) -> None:
    """By a sentence, not by our word for it."""
    assert reason not in str(explain(reason))


def test_what_the_system_says_of_a_host_is_translated() -> None:
    """Its words are ours where we know them."""
    unreachable = judge_host(HostAnswer("h:443", "h:443", os.strerror(errno.EHOSTUNREACH)))
    assert isinstance(unreachable.found_text, Words)


def test_what_setup_installs_is_not_missing_yet(scene: Scene, venv: Venv) -> None:
    """It is said, and nothing is refused."""
    job = "setup: pip install torch\nrun: python x.py\nchecks: {packages: [torch]}\n"
    assert "torch is not here yet: `setup` has to install it" in hints(scene, job)


# --- wheels ---------------------------------------------------------------------------------------


@needs_compiler
@pytest.mark.parametrize(
    ("wheels", "gpu", "said"),
    [
        (["torch 2.7.1"], "g4", "torch 2.7.1 has no code for compute capability 12.0"),
        (["torch 2.9.1"], "g4", ""),
        (["torch 2.7.1"], "t4", ""),
        (["tensorflow 2.20.0"], "g4", "tensorflow 2.20.0 is reported to fail on compute capability 12.0"),
        (["jaxlib 0.5.3", "jax-cuda12-plugin 0.5.3"], "g4", "was not built for compute capability 12.0"),
        (["jaxlib 0.9.2"], "t4", "jaxlib 0.9.2 is built for the CPU only"),
        # Where another family would work, only what the job speaks of is worth a word.
        (["torch 2.9.1", "tensorflow 2.20.0", "jaxlib 0.9.2"], "g4", ""),
    ],
)
def test_wheels_are_held_against_the_gpu(
    scene: Scene, venv: Venv, wheels: list[str], gpu: str, said: str
) -> None:
    """A hint before the start, where nobody asked: the job may not use the GPU at all."""
    for wheel in wheels:
        venv.add_real(wheel)
    scene.env.update(fake_nvml.environment(gpu, scene.folder / "nvml"))
    found = hints(scene, "run: python train.py\n")
    assert said in found if said else not found


@needs_compiler
def test_what_the_job_imports_is_what_counts(scene: Scene, venv: Venv) -> None:
    """Its Python file is read, not run."""
    venv.add_real("torch 2.9.1")
    venv.add_real("tensorflow 2.20.0")
    scene.env.update(fake_nvml.environment("g4", scene.folder / "nvml"))
    (scene.work / "train.py").write_text("import tensorflow as tf\n")
    assert "tensorflow 2.20.0 is reported to fail" in hints(scene, "run: python train.py\n")
    assert hints(scene, "run: python other.py\n") == ""
    assert hints(scene, "run: python train.py\nresources: {gpu: none}\n") == ""


@needs_compiler
def test_a_wheel_that_the_file_names_must_work(scene: Scene, venv: Venv) -> None:
    """69 with a code of its own; with another wheel from `setup` it is a hint again."""
    venv.add_real("torch 2.7.1")
    scene.env.update(fake_nvml.environment("g4", scene.folder / "nvml"))
    job = "run: python train.py\nresources: {gpu: any}\nchecks: {packages: [torch]}\n"
    found = findings(scene, job)["wheel torch"]
    assert (found["status"], found["code"]) == ("short", "CR175")
    assert found["wanted"] == "compute capability 12.0"
    assert "sm_90" in found["found"]
    assert "has no code for" in hints(scene, job + "setup: pip install -U torch\n")
    assert "wheel torch" not in findings(scene, job.replace("gpu: any", "gpu: none"))


def can_unshare() -> bool:
    """May this user have mounts of its own?"""
    try:
        return subprocess.run(["unshare", "-rm", "true"], check=False, capture_output=True).returncode == 0
    except OSError:
        return False


@pytest.mark.skipif(not can_unshare(), reason="no mount namespaces here")
def test_a_small_dev_shm_is_said_where_torch_is(scene: Scene, venv: Venv) -> None:
    """As containers have it; elsewhere nobody waits for it."""
    small = 'mount -t tmpfs -o size=64m tmpfs /dev/shm && exec "$@"'
    job = scene.write_job("run: python train.py\n")

    def said() -> str:
        ended = scene.run("check", job, "--json", before=("unshare", "-rm", "sh", "-c", small, "sh"))
        return "\n".join(ended.document["hints"])

    assert "/dev/shm" not in said()
    venv.add_real("torch 2.9.1")
    assert "/dev/shm has only 67.1 MB" in said()


@needs_compiler
def test_a_wheel_on_another_runtime_of_colab(scene: Scene, venv: Venv) -> None:
    """The image is the same there: `check --on` tells before the switch."""
    venv.add_real("torch 2.7.1")
    job = scene.write_job("run: python train.py\nresources: {gpu: any}\n")
    with scene.managed():
        ended = scene.run("check", job, "--on", "g4", "--json")
    assert "torch 2.7.1 has no code for compute capability 12.0" in "\n".join(ended.document["hints"])
    del scene.env["TBE_RUNTIME_ADDR"]
    assert "torch 2.7.1" not in scene.run("check", job, "--on", "g4", "--json").out


# --- network --------------------------------------------------------------------------------------


@contextmanager
def listener() -> Iterator[int]:
    """A local port that takes connections."""
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        yield server.getsockname()[1]


def free_port() -> int:
    """A local port on which nobody listens."""
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        return int(server.getsockname()[1])


def test_hosts(scene: Scene) -> None:
    """Reached, refused, no such name; an address means its host, and its secrets are nowhere."""
    shut = free_port()
    with listener() as port:
        job = (
            "run: x\nchecks: {network: [\n"
            f'  "localhost:{port}", "http://user:hunter22@127.0.0.1:{port}/a?token=hunter23",\n'
            f'  "localhost:{shut}", "nothing.invalid"]}}\n'
        )
        found = findings(scene, job)
    assert {name: one["found"] for name, one in found.items()} == {
        f"host localhost:{port}": "reached",
        f"host 127.0.0.1:{port}": "reached",
        f"host localhost:{shut}": "refused",
        "host nothing.invalid:443": "name",
    }
    refused = scene.run("check", "job.yaml", "--json")
    screen = scene.run("check", "job.yaml")
    assert "hunter" not in refused.out + refused.err + screen.out + screen.err


@pytest.mark.parametrize(
    ("entry", "shown"),
    [
        ("a.b", "a.b:443"),
        ("a.b:5432", "a.b:5432"),
        ("http://a.b/c?token=hunter22", "a.b:80"),
        ("https://me:hunter22@a.b:8443/c", "a.b:8443"),
        ("me:hunter@22@a.b", "a.b:443"),
        ("[::1]:80", "[::1]:80"),
        ("https://[fe80::1]", "[fe80::1]:443"),
        ("https://a.b/x@y", "a.b:443"),
    ],
)
def test_what_is_shown_of_an_address(entry: str, shown: str) -> None:
    """Host and port, wherever the entry came from."""
    assert network.shown(entry) == shown


def test_a_slip_in_an_address_does_not_show_its_secret(scene: Scene) -> None:
    """Not in what is said of it."""
    ended = scene.run(
        "check", scene.write_job('run: x\nchecks: {network: ["https://u:hunter22@-bad-"]}\n'), "--json"
    )
    assert ended.code == 65
    assert not any("hunter22" in json.dumps(one.get("message", "")) for one in ended.document["problems"])


def test_a_proxy_is_what_can_be_reached(scene: Scene) -> None:
    """And that is said; what NO_PROXY lists, and what is not the web, goes its own way."""
    with listener() as port:
        scene.env["HTTPS_PROXY"] = f"http://me:hunter22@127.0.0.1:{port}"
        scene.env["ALL_PROXY"] = scene.env["HTTPS_PROXY"]
        scene.env["NO_PROXY"] = "direct.invalid"
        job = 'run: x\nchecks: {network: [some.invalid, direct.invalid, "db.invalid:5432"]}\n'
        found = findings(scene, job)
        ended = scene.run("check", "job.yaml")
    assert [one["found"] for one in found.values()] == ["proxy", "name", "name"]
    assert f"the proxy 127.0.0.1:{port} answers" in ended.out
    assert "hunter22" not in ended.out + ended.err


def test_hosts_that_do_not_answer_cost_one_deadline() -> None:
    """All at once; a full queue of connections is what no answer looks like."""
    with closing(socket.create_server(("127.0.0.1", 0), backlog=0)) as full:
        port = full.getsockname()[1]
        kept = []
        for _ in range(8):
            one = socket.socket()
            one.setblocking(False)
            one.connect_ex(("127.0.0.1", port))
            kept.append(one)
        begun = time.monotonic()
        rows = network.reach([f"127.0.0.1:{port}", f"http://127.0.0.1:{port}/x"] * 10, 0.5)
        assert time.monotonic() - begun < 2
        assert {row[2] for row in rows} == {"timeout"}
        for one in kept:
            one.close()


def test_a_job_that_asks_for_nothing_starts_no_child(scene: Scene) -> None:
    """Nor does it read what it would need for that: no cost for who does not use it."""
    job = scene.write_job("run: python train.py\n")
    ended = scene.run("check", job, "--json", env={"PYTHONPROFILEIMPORTTIME": "1"})
    assert ended.code == 0
    assert "launcher.readiness" in ended.err
    assert "launcher.probes.network" not in ended.err
