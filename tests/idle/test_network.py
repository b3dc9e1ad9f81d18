"""The network's counters: every interface but the loopback, as /proc/net/dev has them."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from launcher.probes.life.network import network_reader
from launcher.values import Known, Unknown

# Two lines of headings, whatever they say.
HEAD = "Inter-|   Receive  |  Transmit\n face |bytes packets errs |bytes packets errs\n"


def written(folder: Path, *lines: str) -> str:
    (folder / "net").mkdir()
    (folder / "net" / "dev").write_text(HEAD + "".join(line + "\n" for line in lines))
    return str(folder)


def test_received_and_sent_bytes_of_each_but_the_loopback(tmp_path: Path) -> None:
    proc = written(
        tmp_path,
        "    lo: 5721297436 1686029    0    0    0     0          0         0 5721297436 1686029 0 0 0 0 0 0",
        "  eth0: 4809257900  131696    0    0    0     0          0         0 10871271   90639 0 0 0 0 0 0",
        "wlan0:1:7 1 0 0 0 0 0 0 3 1 0 0 0 0 0 0",
    )
    assert network_reader(proc)() == Known({"interfaces": {"eth0": 4820129171, "wlan0:1": 10}})


def test_no_interface_but_the_loopback(tmp_path: Path) -> None:
    assert network_reader(written(tmp_path, "lo: 1 1 0 0 0 0 0 0 1 1 0 0 0 0 0 0"))() == Known(
        {"interfaces": {}}
    )


@pytest.mark.parametrize("line", ["eth0 12 3", "eth0: 1 2 3", "eth0: x 1 0 0 0 0 0 0 1 1 0 0 0 0 0 0"])
def test_another_format_is_unknown(tmp_path: Path, line: str) -> None:
    assert network_reader(written(tmp_path, line))() == Unknown("nonsense")


def test_without_the_file_it_is_unknown(tmp_path: Path) -> None:
    assert network_reader(str(tmp_path))() == Unknown("no-proc")


def test_each_call_reads_anew(tmp_path: Path) -> None:
    read = network_reader(written(tmp_path, "eth0: 1 1 0 0 0 0 0 0 1 1 0 0 0 0 0 0"))
    assert read() == Known({"interfaces": {"eth0": 2}})
    (tmp_path / "net" / "dev").write_text(HEAD + "eth0: 5 1 0 0 0 0 0 0 1 1 0 0 0 0 0 0\n")
    assert read() == Known({"interfaces": {"eth0": 6}})


def test_this_machine() -> None:
    """The names are those that the kernel has, and what goes over the loopback is in none of the totals."""
    found = network_reader()()
    if not Path("/proc/net/dev").exists():
        assert found == Unknown("no-proc")
        return
    assert isinstance(found, Known)
    assert set(found.value["interfaces"]) == {name for _, name in socket.if_nameindex()} - {"lo"}
    assert all(type(total) is int and total >= 0 for total in found.value["interfaces"].values())
