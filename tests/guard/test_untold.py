"""A guard that is killed between the log and its client: who takes over tells the rest."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from launcher.guard import connect
from launcher.guard.channel import RANGE, Channel, pair
from launcher.guard.log import open_log
from launcher.guard.notes import Notes
from launcher.guard.streams import StreamMode
from launcher.guard.viewer import SPAN, Viewer
from launcher.guard.watcher import Seat

if TYPE_CHECKING:
    from pathlib import Path


class FrontDesk:
    """As much of a desk as streams need: the client that looks on."""

    def __init__(self, viewer: Viewer) -> None:
        self.viewer = viewer


@pytest.mark.parametrize(("told", "spans"), [(4, [(2, 4, 6)]), (10, []), (0, [(2, 0, 10)])])
def test_what_the_log_has_and_the_client_was_not_told(
    tmp_path: Path, told: int, spans: list[tuple[int, int, int]]
) -> None:
    """From where the last guard came to, to the end of the log, for the stream that it was of."""
    log = tmp_path / "log"
    log.write_bytes(b"0123456789")
    ours, theirs = pair()
    seat = Seat(theirs, -1, Notes())
    seat.again = seat.streams_taken = True
    seat.kept["log"] = open_log(str(log))
    seat.notes.mark_stream(2)
    seat.notes.mark_told(told)
    desk = FrontDesk(Viewer(Channel(theirs), seat.notes))
    connect.connect(str(log), StreamMode(), desk, seat, print).tell_untold()
    client = Channel(ours)
    received = []
    while (message := client.receive()) is not None:
        assert message[:1] == RANGE
        received.append(SPAN.unpack(message[1:]))
    assert received == spans
    os.close(seat.kept["log"])
    ours.close(), theirs.close()
