"""Run a tool as a subprocess: it cannot ask anything, cannot outlive us, and shows whether it lives.

The sign of life is bytes: what the tool and its children read and wrote (/proc/PID/io). A spinner or a line
that says `0 B/s` is none. While a store moves files by itself no bytes go through us; there the
processor time that the tool takes for waiting for each answer counts (`waits`).
"""

from __future__ import annotations

import os
import re
import select
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from launcher.saving.remote.model import ToolProblem
from launcher.saving.remote.supervise import supervised

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable, Mapping, Sequence

    from launcher.saving.meter import Meter

_LOOK_S = 0.5
# Less is chatter: timers, a socket that is kept open.
_BYTES_OF_LIFE = 16 << 10
_KEPT = 4096
_LONGEST_REASON = 300
_CHUNK = 1 << 18
# How long the last words of a tool may take when a child of it holds its streams open.
_LAST_WORDS_S = 0.3
_DATE = re.compile(r"^\d{4}[/-]\d\d[/-]\d\d[ T]\d\d:\d\d:\d\d\S*\s+")
_ANSI = re.compile(r"\x1b\[[0-9;]*m")
# A tool that waits for its store so long, and moves nothing, is dead whatever time it takes.
_LONGEST_WAIT_S = 1800.0


@dataclass(frozen=True, slots=True)
class Ran:
    """How a tool ended; `out` is its stdout (empty if somebody else took it), `said` its last words.

    `err` is the end of all that it complained of.
    """

    code: int
    out: bytes
    said: str
    err: str = ""


class Tools:
    """Runs tools for one target, in the user's environment, with `extra` on top."""

    def __init__(self, environ: Mapping[str, str], meter: Meter, **extra: str) -> None:
        self.environ = {**environ, **extra}
        self.meter = meter

    def run(
        self,
        argv: Sequence[str],
        *,
        moving: int = 0,
        waits: bool = False,
        sink: Callable[[bytes], object] | None = None,
        limit_s: float | None = None,
        cwd: str | None = None,
    ) -> Ran:
        """Start it and wait. `moving`: so many bytes go through it. `sink` takes its stdout.

        Raises ToolProblem when it cannot be started, or takes longer than `limit_s`.
        """
        process = self._start(argv, cwd)
        out, err = bytearray(), bytearray()
        watch = _Watch(argv[0], process.pid, self.meter, moving, waits)
        try:
            _listen(process, sink or out.extend, err, watch, limit_s)
        except BaseException:
            process.terminate()  # It ends all that the tool started.
            raise
        finally:
            code = process.wait()
            for stream in (process.stdout, process.stderr):
                if stream is not None:
                    stream.close()
            watch.end(code == 0)
        lines = _lines(bytes(err) or bytes(out[-_KEPT:]))
        return Ran(code, bytes(out), _last_words(argv[0], code, lines), "\n".join(lines))

    def must(self, argv: Sequence[str], **options: object) -> Ran:
        """The same for what has to succeed."""
        ran = self.run(argv, **options)  # type: ignore[arg-type]
        if ran.code != 0:
            raise ToolProblem(ran.said)
        return ran

    def _start(self, argv: Sequence[str], cwd: str | None) -> subprocess.Popen[bytes]:
        import subprocess

        try:
            return subprocess.Popen(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env=self.environ,
                cwd=cwd or "/",
                preexec_fn=supervised(),
            )
        except OSError as error:
            raise ToolProblem(f"{argv[0]}: {error.strerror or error}") from error

    def found(self, name: str) -> bool:
        """Is there such a command on the PATH?"""
        from shutil import which

        return which(name, path=self.environ.get("PATH", os.defpath)) is not None


def _listen(
    process: subprocess.Popen[bytes],
    sink: Callable[[bytes], object],
    err: bytearray,
    watch: _Watch,
    limit_s: float | None,
) -> None:
    """Read both streams until the process has ended; a child of it that keeps them open is not waited for."""
    assert process.stdout is not None and process.stderr is not None  # noqa: S101  they are pipes
    poller = select.poll()
    streams = {process.stdout.fileno(): True, process.stderr.fileno(): False}
    for fd in streams:
        poller.register(fd, select.POLLIN)
    begin = time.monotonic()
    ended: float | None = None
    while streams:
        pause = _LOOK_S if ended is None else _LAST_WORDS_S / 10
        for fd, _ in poller.poll(int(pause * 1000)):
            data = os.read(fd, _CHUNK)
            if not data:
                poller.unregister(fd)
                del streams[fd]
            elif streams[fd]:
                sink(data)
                watch.heard(len(data))
            else:
                err += data
                del err[:-_KEPT]
        now = time.monotonic()
        watch.look(now)
        if ended is None and process.poll() is not None:
            ended = now
        if ended is not None and now - ended > _LAST_WORDS_S:
            return
        if limit_s is not None and now - begin > limit_s:
            raise ToolProblem(f"{watch.name}: no answer within {limit_s:.0f} s")
    while process.poll() is None:
        # It closed its streams and lives on.
        select.select([], [], [], 0.02)
        watch.look(time.monotonic())
        if limit_s is not None and time.monotonic() - begin > limit_s:
            raise ToolProblem(f"{watch.name}: no answer within {limit_s:.0f} s")


class _Watch:
    """Feeds the meter from what the processes of a tool do."""

    def __init__(self, name: str, pid: int, meter: Meter, moving: int, waits: bool) -> None:
        self.name = name
        self.pid, self.meter, self.moving, self.waits = pid, meter, moving, waits
        self.moved = 0
        self._next = 0.0
        self._told = self._heard = 0
        self._told_ticks = 0
        # When bytes moved last; the first look counts.
        self._moved_at: float | None = None

    def heard(self, size: int) -> None:
        """Bytes on its stdout."""
        self._heard += size
        if self._heard >= _BYTES_OF_LIFE:
            self._heard = 0
            self._moved_at = time.monotonic()
            self.meter.add()

    def look(self, now: float) -> None:
        """At most every half second."""
        if now < self._next:
            return
        self._next = now + _LOOK_S
        if self._moved_at is None:
            self._moved_at = now
        read, written, ticks = _activity(self.pid)
        if read + written - self._told >= _BYTES_OF_LIFE:
            self._told, self._moved_at = read + written, now
            # Some read far ahead; what others send is not counted as written.
            passed = written if written >= _CHUNK else read
            step = max(min(self.moving, passed) - self.moved, 0)
            self.moved += step
            self.meter.add(step)
        if self.waits and ticks > self._told_ticks and now - self._moved_at < _LONGEST_WAIT_S:
            self._told_ticks = ticks
            self.meter.add()

    def end(self, well: bool) -> None:
        """What was guessed of the bytes is set right."""
        self.meter.add((self.moving if well else 0) - self.moved)


def _activity(root: int) -> tuple[int, int, int]:
    """Of the descendants of a process: bytes read, bytes written, clock ticks of processor time."""
    parents: dict[int, tuple[int, int]] = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                with open(f"/proc/{name}/stat", "rb") as reader:
                    fields = reader.read().rpartition(b")")[2].split()
                parents[int(name)] = int(fields[1]), int(fields[11]) + int(fields[12])
            except (OSError, IndexError, ValueError):
                pass  # gone since
    read = written = ticks = 0
    for pid in parents:
        if pid != root and _descends(pid, root, parents):
            ticks += parents[pid][1]
            counts = _io(pid)
            read, written = read + counts[0], written + counts[1]
    return read, written, ticks


def _descends(pid: int, root: int, parents: Mapping[int, tuple[int, int]]) -> bool:
    for _ in range(len(parents)):
        if pid == root:
            return True
        if pid not in parents:
            return False
        pid = parents[pid][0]
    return False


def _io(pid: int) -> tuple[int, int]:
    try:
        with open(f"/proc/{pid}/io", "rb") as reader:
            rows = dict(line.split(b": ") for line in reader.read().splitlines())
        return int(rows[b"rchar"]), int(rows[b"wchar"])
    except (OSError, ValueError, KeyError):
        return 0, 0


def _lines(text: bytes) -> list[str]:
    """Without colours, and without what a tool advises (`hf` ends with that)."""
    lines = [_ANSI.sub("", line).strip() for line in text.decode("utf-8", "replace").splitlines()]
    return [line for line in lines if line and not line.startswith("Hint:")]


def _last_words(tool: str, code: int, lines: list[str]) -> str:
    said = lines[-1] if lines else ""
    said = _DATE.sub("", said)[:_LONGEST_REASON]
    name = os.path.basename(tool)
    how = f"exit code {code}" if code >= 0 else f"signal {-code}"
    return f"{name} ({how}): {said}" if said else f"{name}: {how}"
