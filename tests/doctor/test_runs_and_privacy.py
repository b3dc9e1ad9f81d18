"""Runs, leases, the release, rates, and that the answer of `doctor` may be pasted anywhere."""

from __future__ import annotations

import json
import os
import signal
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from helpers.diagnosis import driver, of, rows
from helpers.lab import until
from launcher.release import lease

if TYPE_CHECKING:
    from helpers.scene import Scene


def test_a_run_without_a_guard(scene: Scene) -> None:
    """Watcher and guard killed: said, with the call that ends it; the look itself ends nothing."""
    job = scene.write_job("name: lost\nrun: sleep 1000\n")
    run_id = scene.run("run", job, "--detach", "--json").document["run_id"]
    assert of(rows(scene.run("doctor", "--json")), "runs") == ("ok", f"1 run is guarded: {run_id}")
    until(lambda: not killed(scene), "the end of watcher and guard")
    for _ in range(2):
        found = rows(scene.run("doctor", "--json"))
        assert of(found, "runs") == ("fail", f"without a guard: {run_id}")
        assert found["runs"]["fix"] == "bring it to its end: colab-run ps"
    assert any(name_of(pid) == "sleep" for pid in scene.leftovers()), "the job was ended by a look"
    scene.run("ps")
    until(lambda: not scene.leftovers(), "the end of the job, as the fix has it")


def killed(scene: Scene) -> list[int]:
    """Our own processes of this scene, each sent a SIGKILL; the watcher first: it replaces a guard."""
    ours = [pid for pid in scene.leftovers() if name_of(pid).startswith("colab-run")]
    for pid in sorted(ours, key=lambda pid: name_of(pid) != "colab-run-watch"):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    return ours


def name_of(pid: int) -> str:
    """What the kernel calls it; empty if it is gone."""
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return ""


def test_a_note_of_another_boot_stays(scene: Scene) -> None:
    """Whatever else tidies up: a look does not."""
    os.close(lease.open_folder())
    note = Path(lease.FOLDER) / f"{lease.key('')}.20200101-000000-000a.00000000.run"
    note.write_text(
        json.dumps({"boot": "another", "run_id": "20200101-000000-000a", "home": "/x", "target": ""})
    )
    try:
        assert of(rows(scene.run("doctor", "--json")), "runs")[0] == "ok"
        assert note.exists()
    finally:
        note.unlink(missing_ok=True)


def test_in_a_slurm_allocation_without_its_programs(scene: Scene) -> None:
    """The allocation cannot be handed back: squeue is not to be found; its number is not shown."""
    found = rows(scene.run("doctor", "--json", env={"SLURM_JOB_ID": "98765432"}))
    assert of(found, "platform") == ("ok", "a Slurm allocation")
    assert "98765432" not in json.dumps(found)


def test_a_garbled_address_is_a_failure(scene: Scene) -> None:
    """Nothing is sent; what it is stays in the environment."""
    found = rows(scene.run("doctor", "--json", env={"TBE_RUNTIME_ADDR": "no/address at-all"}))
    assert of(found, "release")[0] == "fail"
    assert "no/address" not in json.dumps(found)


def test_old_rates_are_named(scene: Scene) -> None:
    """What was recorded more than 180 days ago is to be read again."""
    folder = scene.folder / "config" / "colab-run"
    folder.mkdir(parents=True)
    (folder / "rates.yaml").write_text(
        "schema_version: 1\ncolab:\n  t4: {units: 1.2, checked: '2020-02-03'}\n", encoding="utf-8"
    )
    found = rows(scene.run("doctor", "--json", env={"XDG_CONFIG_HOME": str(folder.parent)}))
    assert of(found, "rates") == ("unknown", "older than 180 days: t4 (2020-02-03)")
    assert found["rates"]["fix"] == "record what Colab shows: colab-run rates set t4 UNITS"


def test_no_bash_for_jobs(scene: Scene, tmp_path: Path) -> None:
    """Without bash no script of a job file runs."""
    empty = tmp_path / "bin"
    empty.mkdir()
    found = rows(scene.run("doctor", "--json", env={"PATH": str(empty)}))
    assert of(found, "programs") == ("fail", "there is no bash on the PATH, and jobs need it")


# --- safe to paste --------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", [(), ("--json",)])
def test_nothing_private_is_shown(scene: Scene, how: tuple[str, ...]) -> None:
    """Neither the value of any variable, nor the home folder, nor a name of this machine."""
    home = scene.folder / "people" / "zaphod-private"
    (home / "state").mkdir(parents=True, mode=0o777)
    (home / "state").chmod(0o777)
    env = {
        **driver(scene, "busy-t4"),
        "HOME": str(home),
        "USER": "zaphod-private",
        "COLAB_RUN_HOME": str(home / "state"),
        "HF_TOKEN": "hf_abcdefghijklmnop",
        "WANDB_API_KEY": "0123456789abcdef0123456789abcdef01234567",
        "MY_PASSWORD": "correct horse",
        "TBE_RUNTIME_ADDR": "10.9.8.7:x",
        "SLURM_JOB_ID": "98765432",
    }
    ended = scene.run("doctor", *how, env=env)
    assert ended.err == ""
    for value in (*env.values(), "zaphod", os.uname().nodename, str(scene.folder)):
        assert value not in ended.out, value
    assert "$COLAB_RUN_HOME" in ended.out
