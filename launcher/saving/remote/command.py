"""`command:` a shell command of the user's that takes a path; its exit code is all that we are told."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from launcher.saving.listing import identity_of, list_output
from launcher.saving.model import SaveReport
from launcher.saving.remote.model import CHANGED, ToolProblem
from launcher.saving.remote.prints import CHUNK, sha256_of
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


def run_command(target: Target, path: str, tools: Tools, moving: int = 0, cwd: str = "") -> str:
    """Hand `path` over. What it said if it failed; empty if it ended with 0. `cwd`: not beside it."""
    import shlex

    script = target.text.replace(PLACE, shlex.quote(path))
    ran = tools.run(
        ["bash", "-c", script], moving=moving, cwd=cwd or os.path.dirname(path), sink=lambda data: None
    )
    return "" if ran.code == 0 else ran.said


def save_by_command(order: Order, meter: Meter, tools: Tools) -> SaveReport:
    """All of the output as it lies there, or real files: of a part of it, or where links lead out."""
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
            said = _hand_over(order, listing, tools, meter)
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
            _copy(path, os.path.join(folder, name), meter)
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


def _hand_over(order: Order, listing: Listing, tools: Tools, meter: Meter) -> str:
    beside = os.path.dirname(order.source)
    if _as_it_lies(order, listing):
        return run_command(order.target, order.source, tools, listing.size)
    # Beside the source: hard links go no further than their file system.
    writable = os.access(beside, os.W_OK | os.X_OK)
    with scratch(
        beside if writable else temporary_folder(tools.environ), f"command {order.source}"
    ) as folder:
        tree = os.path.join(folder, order.name)
        _plant(tree, listing, meter)
        cwd = order.source if order.parts else beside
        return run_command(order.target, tree, tools, listing.size, cwd)


def _as_it_lies(order: Order, listing: Listing) -> bool:
    """Is the source itself all that is to be taken, with no link that leads out of it, or by a full path?"""
    if order.include or order.exclude or order.parts or order.settled_s is not None:
        return False
    if os.path.islink(order.source):
        return False
    root = os.path.realpath(order.source)
    if any(
        entry.source != (os.path.join(root, entry.path) if entry.path else root) for entry in listing.files
    ):
        return False
    return all(_says(os.path.join(root, path)) == text for path, text in listing.links)


def _says(link: str) -> str | None:
    try:
        return os.readlink(link)
    except OSError:
        return None


def _plant(tree: str, listing: Listing, meter: Meter) -> None:
    """What was listed as a tree of real files."""
    os.makedirs(os.path.dirname(tree), exist_ok=True)
    if not listing.single:
        os.mkdir(tree)
    for path in listing.folders:
        os.makedirs(os.path.join(tree, path), exist_ok=True)
    for entry in listing.files:
        place = os.path.join(tree, entry.path) if entry.path else tree
        os.makedirs(os.path.dirname(place), exist_ok=True)
        _copy(entry.source, place, meter)
    for path, text in listing.links:
        os.makedirs(os.path.dirname(os.path.join(tree, path)), exist_ok=True)
        os.symlink(text, os.path.join(tree, path))


def _copy(source: str, place: str, meter: Meter) -> None:
    """A hard link, or a copy where that cannot be: never a link that leads elsewhere."""
    try:
        os.link(os.path.realpath(source), place)
    except OSError:
        from shutil import copystat

        with open(source, "rb", buffering=0) as reader, open(place, "wb", buffering=0) as writer:
            while data := memoryview(reader.read(CHUNK)):
                while data:
                    data = data[writer.write(data) :]
                meter.add()
        copystat(source, place)


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
