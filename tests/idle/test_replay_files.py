"""Files that are no recordings, large or well packed: refused at once, by a process that has little."""

from __future__ import annotations

import gzip
import resource
from typing import TYPE_CHECKING, Any

import pytest

from launcher.children import call_in_child
from launcher.replaying import RecordingError, replay_file
from launcher.values import Known

if TYPE_CHECKING:
    from pathlib import Path

HEADER = "timestamp, utilization.gpu [%]\n"
NULS = b"\0" * (64 << 20)


@pytest.mark.parametrize(
    "data",
    [
        b"x" * (32 << 20),
        b'{"t": [' + b"1, " * (8 << 20),
        gzip.compress(NULS),
        gzip.compress(b"".join(gzip.compress(NULS) for _ in range(8))),
        gzip.compress(NULS.replace(b"\0", b"\n")),
        gzip.compress(NULS.replace(b"\0\0", b"\0\n")),
        HEADER.encode() + b" " * (32 << 20),
    ],
    ids=["line", "trace", "NULs", "packed twice", "lines of nothing", "lines of NULs", "after a line"],
)
def test_what_is_no_line_is_refused_at_once(tmp_path: Path, data: bytes) -> None:
    """Whatever its size, and however well it was packed: in a process that may not have much memory."""
    (tmp_path / "log").write_bytes(data)

    def refused() -> Any:
        resource.setrlimit(resource.RLIMIT_CPU, (2, 2))
        with open("/proc/self/statm", "rb") as file:
            own = int(file.read().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (own + (48 << 20),) * 2)
        with pytest.raises(RecordingError) as caught:
            replay_file(str(tmp_path / "log"))
        return [caught.value.what, caught.value.hint]

    answer = call_in_child(refused, deadline_s=20)
    assert isinstance(answer, Known), answer
    what, advised = answer.value
    assert advised
    assert what.startswith(f"{tmp_path / 'log'}: line ")


@pytest.mark.parametrize("break_at", [1, 1 << 16, (1 << 16) + 7])
def test_a_file_in_any_pieces(tmp_path: Path, break_at: int) -> None:
    """The last bytes of what was packed are not lost, wherever the pieces end."""
    lines = HEADER + "".join(f"2026/11/22 23:{n // 60:02}:{n % 60:02}.000, 0 %\n" for n in range(3600))
    data = lines.encode()
    (tmp_path / "log").write_bytes(gzip.compress(data[:break_at]) + gzip.compress(data[break_at:]))
    assert len(replay_file(str(tmp_path / "log"), policies=["fixed"]).curve) == 3600
