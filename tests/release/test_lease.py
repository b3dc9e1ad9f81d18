"""Who may hold what at the same time."""

from __future__ import annotations

import subprocess
import sys
import threading
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from launcher.release.lease import ANY_TARGET, Lease, hold_alone, hold_shared, others
from launcher.release.protocol import Others

if TYPE_CHECKING:
    from pathlib import Path

TARGET = "172.28.0.1:8011"


class Leases:
    """The two ways to hold, in a folder that no run on this machine knows."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def shared(self, target: str = TARGET) -> Lease | None:
        return hold_shared(target, self.folder)

    def alone(self, target: str = TARGET) -> Lease | None:
        return hold_alone(target, self.folder)


@pytest.fixture
def leases(tmp_path: Path) -> Leases:
    return Leases(tmp_path / "leases")


def test_runs_share_and_a_release_is_alone(leases: Leases) -> None:
    """Any number of runs, or one release."""
    first, second = leases.shared(), leases.shared()
    assert first is not None
    assert second is not None
    assert leases.alone() is None
    first.close()
    assert leases.alone() is None
    second.close()
    with closing(leases.alone()) as alone:
        assert alone is not None
        assert leases.shared() is None
        assert leases.alone() is None
    again = leases.shared()
    assert again is not None
    again.close()


def test_releases_of_two_targets_do_not_meet(leases: Leases) -> None:
    """What is about one runtime says nothing of another."""
    with closing(leases.alone("other:1")) as other, closing(leases.alone()) as alone:
        assert other is not None
        assert alone is not None


def test_a_run_that_knows_no_address_is_met_by_every_release(leases: Leases) -> None:
    """On Colab by ssh, sudo or cron the address is not in the environment: such a run holds for all."""
    with closing(leases.shared(ANY_TARGET)) as anywhere:
        assert anywhere is not None
        assert leases.alone() is None
    with closing(leases.alone()) as alone:
        assert alone is not None
        assert leases.shared(ANY_TARGET) is None


def test_closing_twice_does_no_harm(leases: Leases) -> None:
    """A lease is given up once."""
    held = leases.shared()
    assert held is not None
    held.close()
    held.close()


@pytest.mark.parametrize("target", [TARGET, ANY_TARGET])
def test_who_looks_sees_a_run_or_a_release(leases: Leases, target: str) -> None:
    """Runs, somebody who asks just now, or nobody; and looking leaves nothing held."""
    assert others(TARGET, leases.folder) is Others.NONE
    with closing(leases.shared(target)) as run:
        assert run is not None
        assert others(TARGET, leases.folder) is Others.RUN
    with closing(leases.alone()) as alone:
        assert alone is not None
        assert others(TARGET, leases.folder) is Others.RELEASE
    assert others(TARGET, leases.folder) is Others.NONE


def test_a_start_waits_out_who_only_looks(leases: Leases) -> None:
    """Guards that count down look every second: no start is refused for that."""
    looking = leases.alone()
    assert looking is not None
    timer = threading.Timer(0.1, looking.close)
    timer.start()
    with closing(leases.shared()) as run:
        assert run is not None
    timer.join()


def test_a_lease_is_shared_by_fork_and_given_up_for_both(leases: Leases) -> None:
    """Closed by one of two processes it is held by the other; unlocked by one it is free."""
    held = leases.shared()
    assert held is not None
    with subprocess.Popen(
        [sys.executable, "-c", "input()"], stdin=subprocess.PIPE, pass_fds=held.fds
    ) as other:
        second = Lease(list(held.fds))
        assert leases.alone() is None
        second.unlock()
        with closing(leases.alone()) as alone:
            assert alone is not None
        assert other.poll() is None
        other.communicate(b"\n")
    held = leases.shared()
    assert held is not None
    with subprocess.Popen(
        [sys.executable, "-c", "input()"], stdin=subprocess.PIPE, pass_fds=held.fds
    ) as other:
        held.close()
        assert leases.alone() is None
        other.communicate(b"\n")
    with closing(leases.alone()) as alone:
        assert alone is not None
