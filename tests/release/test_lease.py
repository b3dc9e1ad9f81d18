"""Who may hold what at the same time."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from launcher.release.lease import ANY_TARGET, Lease, hold_alone, hold_shared

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
