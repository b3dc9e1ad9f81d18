"""The mirror of the ledger: a folder that outlives the machine, with one small file for each row.

A file is written once, under a name that tells whose row it is (`RUN-03-ended.json`), and never changed:
on Drive, or behind any other FUSE, a file that grows is uploaded anew each time, and the last writer of
a file that two machines share wins. So whoever takes a run over may write the same rows again.
"""

from __future__ import annotations

import json
import os
import re
import stat
from typing import TYPE_CHECKING, Any, NamedTuple

from launcher.clock import iso_utc
from launcher.ledger.model import Row, State, is_amount
from launcher.saving.model import OURS, TargetKind, parse_target

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from launcher.spec.model import JobSpec

VERSION = 1
FOLDER = os.path.join(OURS, "ledger")
# What a run tells of itself there. Saving is no news, and a lost run is one that says no more.
MIRRORED = frozenset(set(State) - {State.SAVING, State.LOST, State.CONFIRMED})
# Not a row of the ledger: the run's receipt, as it lies in the run's folder.
RECEIPT = "receipt"
# Rows are a few hundred bytes; what is larger is nothing of ours.
_LARGEST = 1 << 20
# Facts are lists of objects with lists in them.
_DEEPEST = 16
# After the year 5000 no calendar of ours goes on.
_LAST_WALL = 1e11

_NAME = re.compile(r"(\d{8}-\d{6}-[0-9a-f]{4})-(\d{2,6})-([a-z]+(?:-[a-z]+)*?)(?:-([0-9a-f]{8}))?\.json\Z")
_UNFINISHED = ".part"
_KINDS = frozenset({RECEIPT, *(state.value for state in State)})


def mirror_of(spec: JobSpec) -> str | None:
    """The folder that a job's mirror is in: the one it names, else beside its first output in a folder.

    None: it names none, and no output goes into a folder.
    """
    if spec.mirror is not None:
        return os.path.normpath(os.path.join(spec.workdir, os.path.expanduser(spec.mirror)))
    for output in spec.outputs:
        target = parse_target(output.to, spec.workdir)
        if target.kind is TargetKind.FOLDER:
            return os.path.join(target.text, FOLDER)
    return None


# --- names ----------------------------------------------------------------------------------------


class Name(NamedTuple):
    """What a file's name tells; `kind` is a state or `receipt`, `by` who wrote it about somebody else."""

    run_id: str
    number: int
    kind: str
    by: str = ""

    def __str__(self) -> str:
        """As the file is called: names sort by run, then by row."""
        by = f"-{self.by}" if self.by else ""
        return f"{self.run_id}-{self.number:02d}-{self.kind}{by}.json"


def parse_name(name: str) -> Name | None:
    """None for what is no row of a mirror."""
    match = _NAME.match(name)
    if match is None or match[3] not in _KINDS:
        return None
    return Name(match[1], int(match[2]), match[3], match[4] or "")


# --- writing --------------------------------------------------------------------------------------


class Written(NamedTuple):
    """A row on its way: the name of its file, and what goes into it, or the path of what is copied."""

    name: str
    text: str = ""
    copy_of: str = ""


class Place(NamedTuple):
    """Where a mirror is. `mount`: below this folder nothing is written unless it is a mount point.

    `device`: the file system that rows have gone to before; no other is written to, and no folder made.
    """

    folder: str
    mount: str = ""
    device: int | None = None


def document(row: Row, host: str) -> dict[str, object]:
    """A row as its file has it."""
    return {
        "version": VERSION,
        "run_id": row.run_id,
        "number": row.seq,
        "state": row.state.value,
        "at": iso_utc(row.wall),
        "wall": row.wall,
        "boot_id": row.boot_id,
        "host": host,
        "facts": row.facts,
    }


def written(row: Row, host: str, by: str = "") -> Written:
    """A row, ready to be written."""
    name = Name(row.run_id, row.seq, row.state.value, by)
    return Written(str(name), json.dumps(document(row, host), indent=1) + "\n")


def write_rows(place: Place, rows: Sequence[Written], tidy: str = "") -> dict[str, Any]:
    """Write what is not there yet, in order, up to the first that cannot be written. May hang with its disk.

    JSON, to be called in a child: `names` are there now, `why` is what the system said about the rest,
    `device` the file system. `lost` are files that were to be copied there and cannot be read, with why:
    the rows behind them go on. `tidy`: a run of which another writer was killed; its unfinished files go.
    """
    done: list[str] = []
    lost: dict[str, str] = {}
    device, why = place.device, ""
    try:
        device = _enter(place)
        if tidy:
            _remove_unfinished(place.folder, tidy)
        for row in rows:
            try:
                content = _content(row)
            except OSError as error:
                lost[row.name] = error.strerror or str(error)
                continue
            _write_once(os.path.join(place.folder, row.name), content)
            done.append(row.name)
    except OSError as error:
        why = error.strerror or str(error)
    return {"names": done, "lost": lost, "device": device, "why": why}


def _enter(place: Place) -> int:
    """The file system of the folder, which is made if it may be. Raises OSError."""
    if place.mount and not os.path.ismount(place.mount):
        raise OSError(f"nothing is mounted at {place.mount}")
    if place.device is None:
        os.makedirs(place.folder, exist_ok=True)
    device = os.stat(place.folder).st_dev
    if place.device not in (None, device):
        raise OSError("it is not mounted any more")
    return device


def _content(row: Written) -> bytes:
    if not row.copy_of:
        return row.text.encode()
    with open(row.copy_of, "rb") as file:
        return file.read()


def _write_once(path: str, content: bytes) -> None:
    if os.path.lexists(path):
        return
    folder, name = os.path.split(path)
    temporary = os.path.join(folder, f".{name}.{os.urandom(4).hex()}{_UNFINISHED}")
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        with open(os.open(temporary, flags, 0o600), "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.rename(temporary, path)
    except BaseException:
        if os.path.lexists(temporary):
            os.unlink(temporary)
        raise


def _remove_unfinished(folder: str, run_id: str) -> None:
    for name in os.listdir(folder):
        if name.startswith(f".{run_id}-") and name.endswith(_UNFINISHED):
            os.unlink(os.path.join(folder, name))


# --- reading --------------------------------------------------------------------------------------


class NotARow(Exception):
    """A file in a mirror that is no row of ours. `why` is a stable code.

    `name`, `not-a-file`, `too-large`, `newer-version`, `damaged`, or what the system said.
    """

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why


def names_in(folder: str) -> tuple[dict[str, list[Name]], list[str]]:
    """The rows of each run, in order, the newest run first; and the names of what is none. Raises OSError."""
    runs: dict[str, list[Name]] = {}
    foreign = []
    for entry in sorted(os.listdir(folder), reverse=True):
        name = parse_name(entry)
        if name is not None:
            runs.setdefault(name.run_id, []).append(name)
        elif not (entry.startswith(".") and entry.endswith(_UNFINISHED)):
            foreign.append(entry)
    return {run_id: sorted(names) for run_id, names in runs.items()}, sorted(foreign)


def read_row(folder: str, name: Name) -> Row:
    """One row; its `seq` is its number. Raises NotARow."""
    try:
        told = json.loads(_read_file(os.path.join(folder, str(name))))
        if told["version"] != VERSION:
            raise NotARow("newer-version")
        row = Row(
            str(told["run_id"]),
            int(told["number"]),
            float(told["wall"]),
            str(told["boot_id"]),
            State(told["state"]),
            told["facts"],
        )
        host = told.get("host")
        _check(told, _DEEPEST)
    except OSError as error:
        raise NotARow(error.strerror or str(error)) from error
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError) as error:
        raise NotARow("damaged") from error
    same = (row.run_id, row.seq, row.state.value) == (name.run_id, name.number, name.kind)
    if not same or not isinstance(row.facts, dict) or not 0.0 <= row.wall < _LAST_WALL:
        raise NotARow("damaged")
    return row._replace(facts={**row.facts, "host": host}) if isinstance(host, str) else row


def _check(value: object, deeper: int) -> None:
    """Raise ValueError for what nobody can show or pass on: NaN, 400 digits, a thousand lists."""
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    if inner and not deeper:
        raise ValueError
    for part in inner:
        _check(part, deeper - 1)
    if isinstance(value, int | float) and not isinstance(value, bool) and not is_amount(value):
        raise ValueError


def highest_number(folder: str, run_id: str) -> int:
    """The last number that a run has given there; 0 for none. May hang with its disk. Raises OSError."""
    names, _ = names_in(folder)
    return max((name.number for name in names.get(run_id, ()) if not name.by), default=0)


def _read_file(path: str) -> bytes:
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise NotARow("not-a-file")
        if status.st_size > _LARGEST:
            raise NotARow("too-large")
        with open(descriptor, "rb", closefd=False) as file:
            return file.read(_LARGEST)
    finally:
        os.close(descriptor)


def row_from_json(told: Mapping[str, Any]) -> Row:
    """What `Row._asdict()` became on its way through JSON."""
    return Row(**{**told, "state": State(told["state"])})
