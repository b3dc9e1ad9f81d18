"""Claims on GPUs with real processes: who holds one, for how long, and that looking takes nothing."""

from __future__ import annotations

import os
import select
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from launcher import gpu_claims
from launcher.errors import GpusTaken
from launcher.gpu_choice import claim_gpus
from launcher.verdict.picking import Wish

if TYPE_CHECKING:
    from pathlib import Path

GPU = "GPU-01aa"


def test_one_holder_and_who_it_is(tmp_path: Path) -> None:
    assert gpu_claims.holder(GPU, folder=tmp_path) is None
    held = gpu_claims.take(GPU, "run-1", folder=tmp_path)
    assert held is not None
    assert gpu_claims.take(GPU, "run-2", folder=tmp_path) is None
    assert gpu_claims.holder(GPU, folder=tmp_path) == "run-1"
    assert gpu_claims.holder("GPU-other", folder=tmp_path) is None
    os.close(held)
    assert gpu_claims.holder(GPU, folder=tmp_path) is None


def test_who_shares_shares_with_who_shares(tmp_path: Path) -> None:
    first = gpu_claims.take(GPU, "run-1", shared=True, folder=tmp_path)
    second = gpu_claims.take(GPU, "run-2", shared=True, folder=tmp_path)
    assert first is not None
    assert second is not None
    assert gpu_claims.take(GPU, "run-3", folder=tmp_path) is None
    os.close(first)
    assert gpu_claims.take(GPU, "run-3", folder=tmp_path) is None
    os.close(second)
    third = gpu_claims.take(GPU, "run-3", folder=tmp_path)
    assert third is not None
    os.close(third)


def test_a_forked_process_keeps_it_and_its_end_lets_go(tmp_path: Path) -> None:
    held = gpu_claims.take(GPU, "run-1", folder=tmp_path)
    assert held is not None
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(writer)
        os.read(reader, 1)  # Until the parent's end.
        os._exit(0)
    os.close(reader)
    os.close(held)
    assert gpu_claims.holder(GPU, folder=tmp_path) == "run-1"
    os.close(writer)
    os.waitpid(pid, 0)
    assert gpu_claims.holder(GPU, folder=tmp_path) is None


def test_a_program_that_is_started_does_not_inherit_it(tmp_path: Path) -> None:
    held = gpu_claims.take(GPU, "run-1", folder=tmp_path)
    assert held is not None
    read_all = [sys.executable, "-c", "import sys; print('up', flush=True); sys.stdin.read()"]
    pipe = subprocess.PIPE
    with subprocess.Popen(read_all, stdin=pipe, stdout=pipe, close_fds=False) as job:
        assert job.stdout is not None
        assert job.stdout.readline() == b"up\n"  # Its descriptors are what it will have.
        os.close(held)
        assert gpu_claims.holder(GPU, folder=tmp_path) is None
        job.communicate()


def test_who_chooses_does_so_alone(tmp_path: Path) -> None:
    code = (
        "import sys; from launcher import gpu_claims; print('ready', flush=True)\n"
        "with gpu_claims.choosing(sys.argv[1]):\n"
        "    print(gpu_claims.holder('GPU-a', folder=sys.argv[1]), flush=True)\n"
    )
    with gpu_claims.choosing(tmp_path):
        other = subprocess.Popen(
            [sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, bufsize=0
        )
        assert other.stdout is not None
        assert other.stdout.readline() == b"ready\n"
        early, _, _ = select.select([other.stdout], [], [], 0.3)
        assert not early, "it looked while we were choosing"
        held = gpu_claims.take("GPU-a", "run-1", folder=tmp_path)
    assert held is not None
    answer, _ = other.communicate(timeout=10)
    os.close(held)
    assert answer == b"run-1\n"


@pytest.mark.parametrize("content", [b"", b"\x1b[2J", "\u00fc".encode(), b"two words"])
def test_what_is_no_run_id_is_nobodys_name(tmp_path: Path, content: bytes) -> None:
    held = gpu_claims.take(GPU, "run-1", folder=tmp_path)
    assert held is not None
    (tmp_path / gpu_claims.file_name(GPU)).write_bytes(content)
    assert gpu_claims.holder(GPU, folder=tmp_path) == ""
    os.close(held)


def test_all_users_may_open_it_and_no_link_is_followed(tmp_path: Path) -> None:
    held = gpu_claims.take(GPU, "run-1", folder=tmp_path)
    assert held is not None
    assert (tmp_path / gpu_claims.file_name(GPU)).stat().st_mode & 0o777 == 0o666
    os.close(held)
    target = tmp_path / "precious"
    target.write_text("mine")
    (tmp_path / gpu_claims.file_name("GPU-link")).symlink_to(target)
    with pytest.raises(Exception, match="cannot be used"):
        gpu_claims.take("GPU-link", "run-1", folder=tmp_path)
    assert target.read_text() == "mine"


def test_names_of_gpus_are_names_of_files() -> None:
    assert "/" not in gpu_claims.file_name("GPU-../../etc/passwd")


def test_a_claim_of_this_very_run_is_about_to_go() -> None:
    """Its watcher was told to drop it, and does so a moment later: that is nobody else's."""
    uuid = f"GPU-{os.getpid()}-own"
    code = (
        "import sys, time; from launcher import gpu_claims\n"
        "held = gpu_claims.take(sys.argv[1], 'run-1'); print('held', flush=True)\n"
        "sys.stdin.readline(); time.sleep(0.3)\n"
    )
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, "-c", code, uuid], stdin=pipe, stdout=pipe) as watcher:
        assert watcher.stdout is not None
        assert watcher.stdin is not None
        assert watcher.stdout.readline() == b"held\n"
        wish = Wish(((1, (uuid,)),), (uuid,))
        with pytest.raises(GpusTaken):
            claim_gpus(wish, "run-2", shared=False)
        watcher.stdin.write(b"\n")
        watcher.stdin.flush()
        claimed = claim_gpus(wish, "run-1", shared=False)
    assert claimed.uuids == (uuid,)
    assert gpu_claims.holder(uuid) == "run-1"
    for descriptor in claimed.descriptors:
        os.close(descriptor)
