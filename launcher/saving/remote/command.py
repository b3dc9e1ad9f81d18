"""`command:` a shell command of the user's that takes a path; its exit code is all that we are told."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from launcher.saving.listing import identity_of, list_output
from launcher.saving.model import SaveReport
from launcher.saving.remote.model import CHANGED, ToolProblem
from launcher.saving.remote.prints import sha256_of
from launcher.saving.remote.scratch import scratch, temporary_folder
from launcher.words import words

if TYPE_CHECKING:
    from launcher.saving.listing import Entry, Listing
    from launcher.saving.meter import Meter
    from launcher.saving.model import Order, Target
    from launcher.saving.remote.tool import Tools
    from launcher.words import Text

PLACE = "{path}"
_TRIES = 2


def command_problem(target: Target, tools: Tools) -> Text:
    """Is it a command at all, and does it say where the path goes?"""
    if PLACE not in target.text:
        return words("the command does not say where the path goes: {place} is missing", place=PLACE)
    if not tools.found("bash"):
        return words("bash is not installed")
    return ""


def run_command(target: Target, path: str, tools: Tools, moving: int = 0) -> str:
    """Hand `path` over. What it said if it failed; empty if it ended with 0."""
    import shlex

    script = target.text.replace(PLACE, shlex.quote(path))
    ran = tools.run(["bash", "-c", script], moving=moving, cwd=os.path.dirname(path), sink=lambda data: None)
    return "" if ran.code == 0 else ran.said


def save_by_command(order: Order, meter: Meter, tools: Tools) -> SaveReport:
    """All of the output as it lies there, or a tree of links to the part that was chosen."""
    report = SaveReport(verified="exit-code")
    for number in range(_TRIES):
        listing = list_output(order)
        report.failures = list(listing.failures)
        report.skipped, report.unsettled = listing.skipped, listing.unsettled
        if not listing.files and listing.failures:
            return report
        meter.expect(listing.size)
        try:
            files = [(entry, sha256_of(entry.source, meter)[1]) for entry in listing.files]
            said = _hand_over(order, listing, tools)
        except OSError as error:
            report.failures.append((order.source, error.strerror or str(error)))
            return report
        if said:
            report.failures.append((order.source, said))
            return report
        changed = [entry for entry, _ in files if not _unchanged(entry)]
        if not changed:
            break
        if number + 1 == _TRIES:
            report.failures += [(entry.source, CHANGED) for entry in changed]
            return report
    report.files = [(_place(order, entry), entry.size, sha256) for entry, sha256 in files]
    report.copied = listing.size
    report.committed = not report.failures
    return report


def hand_over_file(path: str, target: Target, name: str, tools: Tools, meter: Meter) -> SaveReport:
    """One file under the name that it is to have."""
    report = SaveReport(verified="exit-code")
    try:
        size, sha256 = sha256_of(path, meter)
        with scratch(temporary_folder(tools.environ), f"command {path}") as folder:
            _copy(path, os.path.join(folder, name))
            said = run_command(target, os.path.join(folder, name), tools)
    except OSError as error:
        said = error.strerror or str(error)
    except ToolProblem as problem:
        said = str(problem)
    if said:
        report.failures.append((path, said))
        return report
    report.files, report.copied, report.committed = [(f"{target.shown} {name}", size, sha256)], size, True
    return report


def _hand_over(order: Order, listing: Listing, tools: Tools) -> str:
    chosen = order.include or order.exclude or order.settled_s is not None
    if not chosen:
        return run_command(order.target, order.source, tools, listing.size)
    # Beside the source: hard links go no further than their file system.
    with scratch(os.path.dirname(order.source), f"command {order.source}") as folder:
        tree = os.path.join(folder, os.path.basename(order.source))
        _plant(tree, listing)
        return run_command(order.target, tree, tools, listing.size)


def _plant(tree: str, listing: Listing) -> None:
    """The chosen part as a tree of real files."""
    if not listing.single:
        os.mkdir(tree)
    for path in listing.folders:
        os.makedirs(os.path.join(tree, path), exist_ok=True)
    for entry in listing.files:
        place = os.path.join(tree, entry.path) if entry.path else tree
        os.makedirs(os.path.dirname(place), exist_ok=True)
        _copy(entry.source, place)
    for path, text in listing.links:
        os.makedirs(os.path.dirname(os.path.join(tree, path)), exist_ok=True)
        os.symlink(text, os.path.join(tree, path))


def _copy(source: str, place: str) -> None:
    """A hard link, or a copy where that cannot be."""
    try:
        os.link(source, place)
    except OSError:
        from shutil import copy2

        copy2(source, place)


def _unchanged(entry: Entry) -> bool:
    """But for the ctime: hard links of ours change that."""
    try:
        return identity_of(os.stat(entry.source))[:4] == entry.identity[:4]
    except OSError:
        return False


def _place(order: Order, entry: Entry) -> str:
    """There is no place to name: the command, and the path in the output."""
    base = f"{order.target.shown} {order.name}"
    return f"{base}/{entry.path}" if entry.path else base
