"""What runs in the place of the guard: wait for a plan, then take the run through its course.

A bug of ours in the guard ends the guard only: the watcher calls the same function again. A second one
ends the job politely, and then still saves and releases.
"""

from __future__ import annotations

import os
import select
from importlib import import_module
from typing import TYPE_CHECKING

from launcher.guard.channel import ERROR, GO, Channel
from launcher.guard.notes import read_plan

if TYPE_CHECKING:
    from launcher.course import Course
    from launcher.errors import ColabRunError
    from launcher.guard.desk import Desk
    from launcher.guard.watcher import Seat
    from launcher.noted import Noted
    from launcher.plan import Plan
    from launcher.queue_plan import QueuePlan
    from launcher.watch_plan import WatchPlan


def guard(seat: Seat) -> None:
    """For `watcher.start`: returns when everything is done."""
    if not seat.again:
        _get_ready()
    channel = Channel(seat.client)
    if not _was_wanted(seat) and not _is_wanted(channel):
        return
    _take_course(seat, channel)


def watch(seat: Seat) -> None:
    """The same for a watch, which has no job."""
    if not seat.again:
        import_module("launcher.watching")
    channel = Channel(seat.client)
    if not _was_wanted(seat) and not _is_wanted(channel):
        return
    _take_watch(seat, channel)


def _get_ready() -> None:
    """While the client reads its job file: everything that the course will need."""
    import_module("launcher.course")


def _was_wanted(seat: Seat) -> bool:
    """Did the guard before us get a plan?"""
    return seat.again and os.fstat(seat.plan).st_size > 0


def _is_wanted(channel: Channel) -> bool:
    """Wait for the plan; False when the client has ended without one, as it does when it refuses."""
    while not channel.broken:
        select.select((channel,), (), ())
        if channel.receive() == GO:
            return True
    return False


def _take_course(seat: Seat, channel: Channel) -> None:
    from launcher.clock import SystemClock
    from launcher.course import Course
    from launcher.errors import ColabRunError
    from launcher.guard.desk import Desk
    from launcher.guard.viewer import Viewer
    from launcher.queue_plan import QueuePlan

    read: Plan | QueuePlan = read_plan(seat.plan)
    queue = read if isinstance(read, QueuePlan) else None
    plan = read.plan if isinstance(read, QueuePlan) else read
    plan.result.no_matter_what()
    desk = Desk(Viewer(channel, seat.notes))
    course = Course(plan, seat, desk, SystemClock()) if queue is None else _queue(queue, seat, desk)
    try:
        course.go()
    except ColabRunError as error:
        _tell_error(desk, error)
    except Exception:
        _write_down(seat.notes.read())
        if not seat.again:
            raise  # The watcher goes on from what was noted.
        course.give_up(plan.spec.stop_grace_s)


def _queue(plan: QueuePlan, seat: Seat, desk: Desk) -> Course:
    from launcher.clock import SystemClock
    from launcher.queueing import QueueCourse

    return QueueCourse(plan, seat, desk, SystemClock())


def _take_watch(seat: Seat, channel: Channel) -> None:
    from launcher.clock import SystemClock
    from launcher.errors import ColabRunError
    from launcher.guard.desk import Desk
    from launcher.guard.viewer import Viewer
    from launcher.watching import Watch

    plan: WatchPlan = read_plan(seat.plan)
    desk = Desk(Viewer(channel, seat.notes))
    try:
        Watch(plan, seat, desk, SystemClock()).go()
    except ColabRunError as error:
        _tell_error(desk, error)
    except Exception:
        # The watcher watches on; after a second time the next call of anybody does.
        _write_down(seat.notes.read())
        raise


def _tell_error(desk: Desk, error: ColabRunError) -> None:
    """To the client; nothing was started."""
    if desk.viewer is not None:
        desk.viewer.tell(ERROR, error)
        while desk.viewer is not None and desk.viewer.waiting:
            desk.wait(1.0)


def _write_down(noted: Noted | None) -> None:
    """What went wrong, where `colab-run` and a bug report find it."""
    if noted is None:
        return
    try:
        path = os.path.join(noted.folder, "guard.err")
        import traceback

        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
        with open(os.open(path, flags, 0o600), "a", encoding="utf-8") as file:
            traceback.print_exc(file=file)
    except OSError:
        return
