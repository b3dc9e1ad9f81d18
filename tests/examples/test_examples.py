"""The examples do what their README says, through the installed `colab-run`."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
SCRIPTS = Path(sys.executable).parent
PNG = b"\x89PNG\r\n\x1a\n"


def copy(name: str, tmp_path: Path) -> Path:
    """An example as a fresh clone has it."""
    left_by_runs = shutil.ignore_patterns("results", "output", "checkpoints", "__pycache__")
    return Path(shutil.copytree(EXAMPLES / name, tmp_path / name, ignore=left_by_runs))


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """Our own `python` and `colab-run` first, a state folder of the test's own, nothing that is Colab's."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("COLAB_", "TBE_")) and name not in ("PYTHONPATH", "PYTHONHOME")
    }
    return kept | {
        "PATH": f"{SCRIPTS}{os.pathsep}{os.environ['PATH']}",
        "COLAB_RUN_HOME": str(tmp_path / "home"),
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
    }


def colab_run(
    *arguments: str | Path, environment: dict[str, str], cwd: Path, timeout: float
) -> subprocess.CompletedProcess[bytes]:
    command = SCRIPTS / "colab-run"
    assert command.is_file(), f"colab-run is not installed beside {sys.executable}"
    return subprocess.run(
        [command, *arguments],
        cwd=cwd,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=timeout,
        check=False,
    )


def logs(home: Path) -> list[Path]:
    """The log of every run; `last` and other names for one of them are not counted twice."""
    return sorted({path.resolve() for path in home.glob("runs/*/log")})


def only(folder: Path, name: str) -> Path:
    """The one file of that name, wherever in the folder it lies."""
    found = [path for path in folder.rglob(name) if path.is_file()]
    assert len(found) == 1, f"{name} in {sorted(folder.rglob('*'))}"
    return found[0]


def assert_is_png(path: Path) -> None:
    """Complete from its signature to its last chunk, and large enough to show something."""
    data = path.read_bytes()
    assert data.startswith(PNG)
    assert data[-8:-4] == b"IEND"
    width, height = (int.from_bytes(data[at : at + 4], "big") for at in (16, 20))
    assert width >= 300
    assert height >= 300


@pytest.fixture
def installable() -> None:
    """The job's set-up installs scikit-learn and matplotlib: they are there, or an index can be reached."""
    packages = {"sklearn": "scikit-learn", "matplotlib": "matplotlib"}
    missing = [package for module, package in packages.items() if importlib.util.find_spec(module) is None]
    if not missing:
        return
    asked = [sys.executable, "-I", "-m", "pip", "install", "--quiet", "--dry-run", "--no-deps"]
    done = subprocess.run(
        [*asked, "--retries", "1", "--timeout", "15", *missing], capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        last = (done.stderr.strip().splitlines() or ["pip said nothing"])[-1]
        pytest.skip(f"{' and '.join(missing)} cannot be installed here: {last}")


@pytest.mark.usefixtures("installable")
def test_digits_trains_a_model_and_leaves_it_with_its_log(
    tmp_path: Path, environment: dict[str, str]
) -> None:
    """Exit code 0; model, metrics, pictures and the log lie in `output`; the model reads held-out digits."""
    folder = copy("digits", tmp_path)
    done = colab_run("digits/job.yaml", environment=environment, cwd=tmp_path, timeout=600)
    told = done.stderr.decode(errors="replace")
    assert done.returncode == 0, told

    saved = folder / "output"
    metrics = json.loads(only(saved, "metrics.json").read_text(encoding="utf-8"))
    assert metrics["test_accuracy"] > 0.95
    assert metrics["epochs"] == metrics["epochs_wanted"] == 40
    assert metrics["interrupted_by"] is None
    assert only(saved, "model.joblib").stat().st_size > 10_000
    for picture in ("learning_curve.png", "confusion.png"):
        assert_is_png(only(saved, picture))

    # The job's stdout is what the job wrote, and nothing of ours.
    lines = done.stdout.decode().splitlines()
    assert sum(line.startswith("epoch ") for line in lines) == 40
    assert re.match(r"held out: 0\.9\d+ of 360 digits read correctly", lines[-1])
    (log,) = logs(tmp_path / "home")
    written = log.read_bytes()
    assert written.endswith(done.stdout)
    assert written.removesuffix(done.stdout) in done.stderr, "the log holds what the job did not write"
    beside = [path for path in saved.rglob("*") if path.is_file() and path.read_bytes() == written]
    assert beside, f"no copy of the log beside the results: {sorted(saved.rglob('*'))}"


def test_digits_saves_what_it_has_when_it_is_stopped(tmp_path: Path) -> None:
    """SIGTERM ends it after the running epoch, with a model, metrics that say so, and 128 + 15."""
    if not all(importlib.util.find_spec(name) for name in ("sklearn", "matplotlib")):
        pytest.skip("scikit-learn and matplotlib are not installed")
    folder = copy("digits", tmp_path)
    with subprocess.Popen(
        [sys.executable, "train.py", "--out", "results", "--epochs", "1000000"],
        cwd=folder,
        stdout=subprocess.PIPE,
        text=True,
    ) as child:
        try:
            assert child.stdout is not None
            next(line for line in child.stdout if line.startswith("epoch "))
            child.send_signal(signal.SIGTERM)
            child.stdout.read()
            assert child.wait(timeout=60) == 128 + signal.SIGTERM
        finally:
            child.kill()
    metrics = json.loads((folder / "results" / "metrics.json").read_text(encoding="utf-8"))
    assert metrics["interrupted_by"] == "SIGTERM"
    assert 1 <= metrics["epochs"] < metrics["epochs_wanted"]
    assert (folder / "results" / "model.joblib").is_file()


def has_gpu() -> bool:
    """Whether this machine might meet the needs of examples/torch-gpu."""
    return Path("/dev/nvidia0").exists()


@pytest.mark.skipif(has_gpu(), reason="this machine has an NVIDIA GPU: the job might really start")
def test_torch_gpu_is_refused_where_there_is_no_gpu(tmp_path: Path, environment: dict[str, str]) -> None:
    """Exit code 69, the GPU named as missing, and nothing started: no run, no log, no file."""
    folder = copy("torch-gpu", tmp_path)
    before = sorted(folder.rglob("*"))
    done = colab_run("torch-gpu/job.yaml", environment=environment, cwd=tmp_path, timeout=60)
    told = done.stderr.decode(errors="replace")
    assert done.returncode == 69, told
    assert done.stdout == b""
    assert "A100" in told
    assert logs(tmp_path / "home") == []
    assert sorted(folder.rglob("*")) == before


@pytest.mark.skipif(has_gpu(), reason="this machine has an NVIDIA GPU: the job might really be met")
def test_torch_gpu_is_told_what_is_missing(tmp_path: Path, environment: dict[str, str]) -> None:
    """`check` gives the findings: the GPU is short, and the memory is compared with 50 GB."""
    copy("torch-gpu", tmp_path)
    done = colab_run(
        "check", "torch-gpu/job.yaml", "--json", environment=environment, cwd=tmp_path, timeout=60
    )
    assert done.returncode == 69, done.stderr.decode(errors="replace")
    document = json.loads(done.stdout)
    assert document["verdict"] in ("short", "unknown")
    status = {finding["requirement"]: finding["status"] for finding in document["findings"]}
    gpu = next(value for name, value in status.items() if "gpu" in name)
    assert gpu != "met"
    assert any("ram" in name for name in status)


@pytest.fixture
def torch_train(tmp_path: Path) -> Iterator[list[str]]:
    """The command line of torch-gpu's script on the CPU, in a folder of its own."""
    if importlib.util.find_spec("torch") is None:
        pytest.skip("PyTorch is not installed")
    if int(version("torch").split(".")[0]) < 2:
        pytest.skip("PyTorch is older than 2")
    script = copy("torch-gpu", tmp_path) / "train.py"
    yield [sys.executable, str(script), "--device", "cpu", "--out", str(tmp_path / "checkpoints")]


def test_torch_gpu_learns_and_resumes_on_the_cpu(torch_train: list[str], tmp_path: Path) -> None:
    """The loss falls; a second run goes on where the first ended, and leaves whole files only."""
    subprocess.run([*torch_train, "--steps", "40"], check=True, timeout=300)
    second = subprocess.run(
        [*torch_train, "--steps", "200"], check=True, timeout=300, capture_output=True, text=True
    )
    assert "at step 40" in second.stdout
    metrics = json.loads((tmp_path / "checkpoints" / "metrics.json").read_text(encoding="utf-8"))
    assert metrics["step"] == 200
    assert metrics["steps_this_run"] == 160
    losses = [loss for _, loss in metrics["losses"]]
    assert sum(losses[-3:]) < sum(losses[:3])
    assert metrics["accuracy"] > 0.4
    assert {path.name for path in (tmp_path / "checkpoints").iterdir()} == {"checkpoint.pt", "metrics.json"}
