"""How the job's stdin, stdout and stderr are connected, and the pumping of its bytes into the log.

Each is a terminal where the client's is a terminal, otherwise a pipe (stdin: the very thing that the
client's is); two of the client's that are one open file stay one pipe, so that the order of their
bytes is kept.
"""

from __future__ import annotations

import os
import selectors
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from launcher.guard import terminal
from launcher.guard.channel import TYPED

if TYPE_CHECKING:
    from launcher.guard.desk import Desk
    from launcher.guard.log import Log
    from launcher.guard.watcher import Seat

CHUNK = 1 << 16
TERMINAL_READ = 2048
# Typed or pasted text that the job does not read yet; the client sends no more than this unasked.
INPUT_LIMIT = 1 << 16


@dataclass(frozen=True, slots=True)
class StreamMode:
    """`json`: stdout is for one document, so the job's output goes to the client's stderr, by pipes.

    `tty`: a terminal for the job whatever the client's is. `detached`: nobody types, nobody looks on.
    """

    json: bool = False
    tty: bool = False
    detached: bool = False

    @property
    def pipes(self) -> bool:
        """Does the job get pipes although the client may have a terminal?"""
        return (self.json or self.detached) and not self.tty


@dataclass(eq=False, slots=True)
class Source:
    """One stream of the job, read from `descriptor`: for the client's `stream` and, if `logged`, the log."""

    descriptor: int
    stream: int
    logged: bool
    open: bool = True

    @property
    def label(self) -> str:
        """The name under which the watcher keeps a copy."""
        return f"source {self.stream} {int(self.logged)}"


@dataclass(eq=False, slots=True)
class Streams:
    """All streams of a run; they stay the same for `setup` and `run`."""

    log: Log
    stdio: tuple[int, int, int]
    sources: list[Source]
    desk: Desk
    seat: Seat
    master: int | None = None
    controlling: int | None = None
    _input: bytearray = field(default_factory=bytearray)
    _close_later: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.desk.has_terminal = lambda: self.master is not None
        self.desk.log_end = lambda: self.log.end

    def register(self, selector: selectors.BaseSelector) -> None:
        """Watch everything that is to be watched now; called before every select."""
        paused = self.paused
        for source in self.sources:
            events = selectors.EVENT_READ if source.open and not paused else 0
            if events and source.descriptor == self.master and self._input:
                events |= selectors.EVENT_WRITE
            watch(selector, source.descriptor, events, source)

    @property
    def paused(self) -> bool:
        """Is the log full, and the client behind? Then the job waits, as for any pipe."""
        return self.desk.viewer is not None and self.desk.viewer.congested

    def handle(self, source: Source, events: int) -> None:
        """Move bytes for one ready descriptor."""
        if events & selectors.EVENT_WRITE:
            self._hand_keys_on()
        if events & selectors.EVENT_READ:
            self._pump(source)

    def _pump(self, source: Source) -> None:
        """Read what is there, CHUNK at most. An end of file never means that the job ended."""
        pieces: list[bytes] = []
        size = 0
        while size < CHUNK and (data := _read(source, CHUNK - size)):
            pieces.append(data)
            size += len(data)
            if len(data) < TERMINAL_READ:
                break  # A terminal gives its bytes in small pieces; one that is smaller is the last.
        if size:
            self._take(source, b"".join(pieces))

    def _take(self, source: Source, data: bytes) -> None:
        viewer = self.desk.viewer
        if not source.logged:
            if viewer is not None:
                viewer.data(source.stream, data)
            return
        self.seat.notes.mark_stream(source.stream)
        start = self.log.end
        taken = self.log.feed(data)
        if taken:
            # All that there is of one pipe is its output, though under --json it goes to the client's stderr.
            self.desk.show(source.stream if len(self.sources) > 1 else 1, start, taken)
        if viewer is None:
            return
        if taken:
            viewer.span(source.stream, start, taken)
        if taken < len(data):
            viewer.data(source.stream, data[taken:])

    def tell_untold(self) -> None:
        """What the guard before us wrote into the log and did not say; the client knows what it has shown.

        After the client was told where the log is, and before it is told of anything new.
        """
        source, told = self.seat.notes.untold()
        if self.seat.again and self.desk.viewer is not None and self.log.end > told:
            self.desk.viewer.span(source, told, self.log.end - told)

    # --- the other way ----------------------------------------------------------------------------

    def type(self, keys: bytes) -> None:
        """Somebody typed."""
        if self.master is not None and len(self._input) < 2 * INPUT_LIMIT:
            self._input += keys
            self._hand_keys_on()

    def _hand_keys_on(self) -> None:
        taken = 0
        try:
            while self._input and self.master is not None:
                written = os.write(self.master, self._input[:4096])
                del self._input[:written]
                taken += written
        except BlockingIOError:
            pass
        except OSError:
            taken += len(self._input)
            self._input.clear()
        if taken and self.desk.viewer is not None:
            self.desk.viewer.send(TYPED + taken.to_bytes(8, "little"))

    def resize(self, size: bytes) -> None:
        """The client's window changed; `size` is a struct winsize."""
        if self.master is not None:
            terminal.set_size(self.master, size)

    # --- ends -------------------------------------------------------------------------------------

    def job_side_done(self) -> None:
        """No further process will be started: keep no write end, so that an end of file can come."""
        for descriptor in self._close_later.values():
            os.close(descriptor)
        for number in range(3):
            self.seat.drop(f"stdio {number}")
        self._close_later.clear()
        self.stdio = (-1, -1, -1)  # Their numbers may be somebody else's next.

    @property
    def drained(self) -> bool:
        """Did every stream come to its end?"""
        return not any(source.open for source in self.sources)

    def close(self) -> None:
        """Close everything that is ours; the watcher keeps its copies until the end is noted (`let_go`)."""
        self.job_side_done()
        for source in self.sources:
            os.close(source.descriptor)
        self.log.close()

    def have_stdio(self, ends: tuple[int, int, int]) -> None:
        """The job's own ends of its streams."""
        self.stdio = ends
        for number, descriptor in enumerate(ends):
            if descriptor not in self._close_later.values():
                self.close_later(f"stdio {number}", descriptor)

    def close_later(self, label: str, descriptor: int) -> None:
        """Close it when the last process of the job has been started."""
        self._close_later[label] = descriptor


def _read(source: Source, most: int) -> bytes:
    """Read once; nothing where nothing is there now, or ever again."""
    try:
        data = os.read(source.descriptor, most)
    except BlockingIOError:
        return b""
    except OSError:
        data = b""  # EIO: the last process closed the terminal.
    if not data:
        source.open = False
    return data


def watch(selector: selectors.BaseSelector, file: Any, events: int, data: object) -> None:
    """Bring the selector to watch `file`, a descriptor or what has one, for `events` (0: not at all)."""
    known = selector.get_map().get(file)
    if known is None:
        if events:
            selector.register(file, events, data)
    elif not events:
        selector.unregister(file)
    elif known.events != events:
        selector.modify(file, events, data)


def same_open_file(first: int, second: int) -> bool:
    """Do two descriptors lead to one file, pipe or terminal?"""
    try:
        one, other = os.fstat(first), os.fstat(second)
    except OSError:
        return False
    return (one.st_dev, one.st_ino, one.st_rdev) == (other.st_dev, other.st_ino, other.st_rdev)
