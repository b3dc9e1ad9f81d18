"""Nothing that a tool starts outlives it, or us."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest

from launcher.saving.meter import Meter
from launcher.saving.remote.model import ToolProblem
from launcher.saving.remote.tool import Tools, _Watch

# A grandchild that is in a session of its own and has no parent any more.
SCRIPT = "(setsid sleep 300 &) ; (sleep 300 &) ; echo ready > {ready}; "


def carriers(marker: str) -> list[str]:
    found = []
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            if marker.encode() in Path(f"/proc/{name}/environ").read_bytes():
                found.append(name)
        except OSError:
            pass
    return found


def wait_until_gone(marker: str) -> None:
    deadline = time.monotonic() + 20
    while left := carriers(marker):
        assert time.monotonic() < deadline, left
        time.sleep(0.02)


@pytest.mark.parametrize("how", ["ends", "takes too long", "we are killed"])
def test_no_grandchild_is_left(how: str, tmp_path: Path) -> None:
    """Whether the tool ends, is ended, or we are gone."""
    marker, ready = f"marker-{os.urandom(8).hex()}", tmp_path / "ready"
    tools = Tools({"PATH": os.environ["PATH"], "MARKER": marker}, Meter())
    script = SCRIPT.format(ready=ready) + ("exit 7" if how == "ends" else "sleep 300")
    if how == "ends":
        assert tools.run(["bash", "-c", script]).code == 7
    elif how == "takes too long":
        with pytest.raises(ToolProblem):
            tools.run(["bash", "-c", script], limit_s=5.0)
    else:
        pid = os.fork()
        if pid == 0:
            tools.run(["bash", "-c", script])
            os._exit(0)
        deadline = time.monotonic() + 20
        while not ready.exists():
            assert time.monotonic() < deadline
            time.sleep(0.01)
        assert carriers(marker)
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    wait_until_gone(marker)
    assert ready.exists()


def test_how_a_tool_ended_is_told() -> None:
    """By a signal, by its code, or it could not be started."""
    tools = Tools({"PATH": os.environ["PATH"]}, Meter())
    assert tools.run(["bash", "-c", "kill -9 $$"]).code == -signal.SIGKILL
    assert tools.run(["bash", "-c", "kill -TERM $$"]).code == -signal.SIGTERM
    with pytest.raises(ToolProblem, match="No such file"):
        tools.run(["no-such-tool"])


def test_time_that_a_tool_takes_is_no_life_for_ever() -> None:
    """Half an hour without bytes, and it is dead however busy it is."""
    meter = Meter()
    child = os.fork()
    if child == 0:
        if os.fork() == 0:
            while os.getppid() != 1 and time.monotonic():
                pass
        signal.pause()
    try:
        watch = _Watch("tool", child, meter, 0, waits=True)
        now, first = 1000.0, meter.read().ticks
        deadline = time.monotonic() + 20
        while meter.read().ticks < first + 2:
            assert time.monotonic() < deadline, "no sign of life"
            now += 1
            watch.look(now)
        late = meter.read().ticks
        for _ in range(5):
            time.sleep(0.05)
            now += 1900
            watch.look(now)
        assert meter.read().ticks == late
    finally:
        for pid in [*_below(child), child]:
            os.kill(pid, signal.SIGKILL)
        os.waitpid(child, 0)


def _below(pid: int) -> list[int]:
    return [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
