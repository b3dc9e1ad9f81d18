"""The ledger of one state folder: what happened to every run, in SQLite.

What `write` acknowledged is on disk. What cannot be written delays nothing: it waits in memory for the
next write, and at the end in a spool file for the next process that opens the ledger.
"""

from __future__ import annotations

import fcntl
import json
import os
import sqlite3
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from launcher.ledger import place, spool
from launcher.ledger.migrations import CURRENT, migrate
from launcher.ledger.model import FINAL, LedgerUnusable, Row, Run, State, summary
from launcher.ledger.spool import Entry, new_entry

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

# How long a lock is waited for; that of the spool is the last chance, and its holder only writes to the disk.
PATIENCE_S, SPOOL_PATIENCE_S = 0.2, 5.0
# How long a look over the whole file at opening may take; no answer by then counts as good.
CHECK_S = 0.2

# Reasons that may pass: the ledger is then opened all the same, and its rows wait.
PASSING = frozenset({"locked", "disk-full", "io-error"})

_SETTINGS = (
    "journal_mode = WAL",
    "synchronous = FULL",
    "cache_size = -128",  # KiB: a guard is small, and its ledger too
    "wal_autocheckpoint = 250",
    "cell_size_check = ON",
)
_INSERT = """
    INSERT INTO rows (uid, run_id, seq, wall, boot_id, state, facts)
    VALUES (:uid, :run_id, (SELECT coalesce(max(seq), 0) + 1 FROM rows WHERE run_id = :run_id),
            :wall, :boot_id, :state, :facts)
    ON CONFLICT (uid) DO NOTHING
"""
_ROWS = "SELECT uid, run_id, seq, wall, boot_id, state, facts FROM rows WHERE run_id = :run_id ORDER BY seq"
_NEWEST = "SELECT run_id FROM rows GROUP BY run_id ORDER BY min(wall) DESC, min(id) DESC LIMIT :limit"
_OPEN_ENDED = f"""
    SELECT run_id FROM rows AS one
    WHERE seq = (SELECT max(seq) FROM rows WHERE run_id = one.run_id)
    AND state NOT IN ({", ".join(f"'{state.value}'" for state in sorted(FINAL))})
    ORDER BY id
"""  # noqa: S608 (our own constants)


class Ledger:
    """One process's hold on the ledger; to be opened after the last fork, and used by one thread.

    `moved_aside` is where a damaged ledger was put, if this one found it so.
    """

    def __init__(self, home: str, boot_id: str, *, read_only: bool) -> None:
        self._home = os.path.abspath(home)
        self._path = os.path.join(self._home, place.DATABASE)
        self._boot_id = boot_id
        self._read_only = read_only
        self._connection: sqlite3.Connection | None = None
        self._identity: tuple[int, int] | None = None
        # A descriptor that says, as long as there is a connection, that the ledger is in use.
        self._entered: int | None = None
        # For a writer what is not written yet, for a reader what the spool holds.
        self._waiting: list[Entry] = []
        self.moved_aside: str | None = None

    @classmethod
    def open(cls, home: str, boot_id: str, *, read_only: bool = False) -> Ledger:
        """The ledger in the state folder `home`, begun if there is none (not to read).

        `boot_id` goes into every row. Raises LedgerUnusable; to write, only where waiting would not help.
        """
        ledger = cls(home, boot_id, read_only=read_only)
        try:
            ledger._connected()
        except LedgerUnusable as error:
            if read_only or error.reason not in PASSING:
                raise
        if read_only:
            ledger._waiting = spool.peek(ledger._home)
        return ledger

    def write(self, run_id: str, state: State, wall: float, /, **facts: object) -> bool:
        """Note what happened; True when this, and all that waited, is on disk.

        False: it waits for the next write, or for `close`. Facts are to be masked, and are written as
        JSON. Never raises for the ledger's sake, and waits about PATIENCE_S for somebody else's lock.
        """
        return self.write_entries([new_entry(run_id, state, wall, self._boot_id, facts)])

    def write_entries(self, entries: Sequence[Entry]) -> bool:
        """The same for rows that have been made before; one that is there already is not written again."""
        waiting = {entry.uid for entry in self._waiting}
        self._waiting += [entry for entry in entries if entry.uid not in waiting]
        return self._flush()

    def rows(self, run_id: str) -> list[Row]:
        """The rows of one run in order, with those that still wait. Raises LedgerUnusable.

        A row that damage or a later version made unreadable is left out.
        """
        written = self._select(_ROWS, run_id=run_id)
        known = {uid for uid, *_ in written}
        found = [row for _, *columns in written if (row := _row(*columns)) is not None]
        seq = found[-1].seq if found else 0
        for entry in self._waiting:
            if entry.run_id == run_id and entry.uid not in known:
                seq += 1
                row = _row(run_id, seq, entry.wall, entry.boot_id, entry.state, entry.facts)
                found += [] if row is None else [row]
        return found

    def last(self, run_id: str) -> Row | None:
        """The last row of a run; None if the ledger does not know it. Raises LedgerUnusable."""
        return next(reversed(self.rows(run_id)), None)

    def runs(self, limit: int) -> list[Run]:
        """The newest runs, the newest first. Raises LedgerUnusable."""
        found = self._runs(_NEWEST, limit=limit)
        return sorted(found, key=lambda run: run.wall, reverse=True)[:limit]

    def unfinished(self) -> list[Run]:
        """Runs whose last row is not a final one, the oldest first. Raises LedgerUnusable."""
        return [run for run in self._runs(_OPEN_ENDED) if run.last.state not in FINAL]

    def close(self) -> bool:
        """Write or spool what still waits, and let go; False if rows are lost, as no file would take them."""
        safe = self._read_only or not self._waiting or self._flush() or self._spool()
        self._waiting = []
        self._drop()
        return safe

    def _runs(self, sql: str, **parameters: object) -> list[Run]:
        names = [name for (name,) in self._select(sql, **parameters) if isinstance(name, str)]
        names += [entry.run_id for entry in self._waiting]
        each = (self.rows(name) for name in dict.fromkeys(names))
        return [summary(rows) for rows in each if rows]

    def _select(self, sql: str, **parameters: object) -> list[tuple[object, ...]]:
        connection = self._connected()
        try:
            return connection.execute(sql, parameters).fetchall()
        except (sqlite3.Error, MemoryError) as error:
            self._drop()
            raise LedgerUnusable(_reason(error)) from error

    def _flush(self) -> bool:
        """Write everything that waits."""
        try:
            # Twice, because a ledger that turns out to be damaged or gone is begun anew.
            return self._try() or (self._connection is None and self._try())
        except LedgerUnusable:
            return False

    def _try(self) -> bool:
        """Write it in one transaction; False without a connection: another try may do better."""
        connection = self._connected()
        try:
            with _transaction(connection):
                for entry in self._waiting:
                    connection.execute(_INSERT, entry._asdict())
        except (sqlite3.Error, MemoryError) as error:
            self._after(error)
            return False
        if place.identity(self._path) != self._identity:
            self._drop()  # Written, but to a file that somebody has put aside or removed.
            return False
        self._waiting = []
        return True

    def _after(self, error: BaseException) -> None:
        """Get ready for the next try. Raises LedgerUnusable where none at once is worth it."""
        if _reason(error) == "locked":
            raise LedgerUnusable("locked") from error
        # After an error of the disk a connection is not to be trusted; the next write makes another.
        self._drop()
        if _reason(error) != "corrupt":
            raise LedgerUnusable(_reason(error)) from error
        if _code(error) != _ERROR:  # Tables that are not ours are recognised when it is opened again.
            self._put_aside()

    def _put_aside(self) -> None:
        """Make room for a new ledger. Raises LedgerUnusable: others have it open, or the disk is at fault."""
        try:
            aside = place.put_aside(self._path, self._identity, PATIENCE_S)
        except OSError as error:
            raise LedgerUnusable(_reason(error)) from error
        self.moved_aside = aside or self.moved_aside

    def _spool(self) -> bool:
        try:
            spool.append(self._home, self._waiting, SPOOL_PATIENCE_S)
        except OSError:
            return False
        return True

    def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            _close(connection)
        self._leave()

    def _leave(self) -> None:
        entered, self._entered = self._entered, None
        if entered is not None:
            os.close(entered)

    def _connected(self) -> sqlite3.Connection:
        """The connection, made if there is none. Raises LedgerUnusable."""
        if self._connection is None:
            place.check_place(self._home, writing=not self._read_only)
            try:
                self._connection = self._reader() if self._read_only else self._writer()
            except (sqlite3.Error, MemoryError, OSError) as error:
                raise LedgerUnusable(_reason(error)) from error
            finally:
                if self._connection is None:
                    self._leave()
        return self._connection

    def _reader(self) -> sqlite3.Connection:
        self._entered = place.enter(self._home, fcntl.LOCK_SH, PATIENCE_S)
        try:
            return _prepared(_connect(self._path, "mode=ro"), _check_readable)
        except sqlite3.OperationalError:
            # On a disk that is read only SQLite cannot make its companions, and needs none.
            if os.access(self._home, os.W_OK) or os.path.lexists(f"{self._path}-wal"):
                raise
            return _prepared(_connect(self._path, "mode=ro&immutable=1"), _check_readable)

    def _writer(self) -> sqlite3.Connection:
        try:
            return self._opened()
        except (sqlite3.Error, MemoryError) as error:
            if _reason(error) != "corrupt":
                raise
            self._leave()
            self._put_aside()
            return self._opened()

    def _opened(self) -> sqlite3.Connection:
        self._entered = place.enter(self._home, fcntl.LOCK_SH, PATIENCE_S)
        place.make_file(self._path)
        self._identity = place.identity(self._path)
        return _prepared(_connect(self._path, "mode=rw"), self._make_ready)

    def _make_ready(self, connection: sqlite3.Connection) -> None:
        version = _version(connection)
        if version:
            _check_whole(connection)
        for setting in _SETTINGS:
            connection.execute(f"PRAGMA {setting}")
        if connection.execute("PRAGMA journal_mode").fetchone() != ("wal",):
            raise LedgerUnusable("no-wal")
        with spool.taken(self._home) as spooled:
            if version == CURRENT and spooled is None:
                return
            with _transaction(connection):
                migrate(connection, _version(connection))
                for entry in [] if spooled is None else spooled.entries:
                    connection.execute(_INSERT, entry._asdict())
            if spooled is not None and place.identity(self._path) == self._identity:
                spooled.remove()


def inspect(home: str) -> None:
    """Raise LedgerUnusable for one that does not open or is damaged. Makes no file, no companion either."""
    place.check_place(home, writing=False)
    path = os.path.join(home, place.DATABASE)
    how = "mode=ro" if os.path.lexists(f"{path}-wal") else "mode=ro&immutable=1"
    try:
        _close(_prepared(_prepared(_connect(path, how), _check_readable), _check_whole))
    except (sqlite3.Error, MemoryError) as error:
        raise LedgerUnusable(_reason(error)) from error


def _connect(path: str, how: str) -> sqlite3.Connection:
    # As a URI, because otherwise SQLite makes a file that is not there, as readable as the umask says.
    plain = b"/-_.abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
    name = "".join(chr(byte) if byte in plain else f"%{byte:02x}" for byte in os.fsencode(path))
    connection = sqlite3.connect(
        f"file:{name}?{how}", uri=True, timeout=PATIENCE_S, isolation_level=None, cached_statements=8
    )
    connection.text_factory = lambda raw: raw.decode("utf-8", "replace")
    return connection


def _prepared(
    connection: sqlite3.Connection, prepare: Callable[[sqlite3.Connection], None]
) -> sqlite3.Connection:
    try:
        prepare(connection)
    except BaseException:
        _close(connection)
        raise
    return connection


def _check_readable(connection: sqlite3.Connection) -> None:
    if _version(connection) == 0:
        raise LedgerUnusable("absent")  # Somebody is just beginning it.


def _version(connection: sqlite3.Connection) -> int:
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if not 0 <= version <= CURRENT:
        raise LedgerUnusable("newer-schema")
    return int(version)


def _check_whole(connection: sqlite3.Connection) -> None:
    """Raise sqlite3.DatabaseError for a ledger that is damaged, as far as CHECK_S lets us see."""
    deadline = time.monotonic() + CHECK_S
    connection.set_progress_handler(lambda: time.monotonic() > deadline, 1000)
    try:
        found = connection.execute("PRAGMA quick_check(1)").fetchone()
    except sqlite3.OperationalError:
        if time.monotonic() <= deadline:
            raise
        found = ("ok",)
    finally:
        connection.set_progress_handler(None, 0)
    table = connection.execute("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'rows'")
    if found != ("ok",) or table.fetchone() is None:
        raise sqlite3.DatabaseError("damaged")


@contextmanager
def _transaction(connection: sqlite3.Connection) -> Iterator[None]:
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        try:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
        except sqlite3.Error:
            pass  # The error before this one says more.
        raise


def _close(connection: sqlite3.Connection) -> None:
    try:
        connection.close()
    except sqlite3.Error:
        pass  # What was acknowledged is in the write-ahead log.


def _row(
    run_id: object, seq: object, wall: object, boot_id: object, state: object, facts: object
) -> Row | None:
    """A row as it was written, or None for what no row of ours can be."""
    if not (isinstance(run_id, str) and isinstance(seq, int) and isinstance(wall, float)):
        return None
    if not (isinstance(boot_id, str) and isinstance(facts, str)):
        return None
    try:
        told = json.loads(facts)
        return Row(run_id, seq, wall, boot_id, State(state), told) if isinstance(told, dict) else None
    except (ValueError, RecursionError):
        return None


# SQLite's result codes.
_ERROR, _BUSY, _LOCKED, _READONLY, _CORRUPT, _FULL, _CONSTRAINT, _NOTADB = 1, 5, 6, 8, 11, 13, 19, 26
_REASONS = {
    _ERROR: "corrupt",  # Our SQL is right, unless the tables are not ours.
    _BUSY: "locked",
    _LOCKED: "locked",
    _READONLY: "read-only",
    _CORRUPT: "corrupt",
    _FULL: "disk-full",
    _CONSTRAINT: "corrupt",  # Our numbers fit, unless those before them are damaged.
    _NOTADB: "corrupt",
}


def _code(error: BaseException) -> int | None:
    code = getattr(error, "sqlite_errorcode", None)
    if code is None:
        # Before Python 3.11, and for our own: these very classes are what a damaged file raises.
        return _CORRUPT if type(error) in (sqlite3.DatabaseError, sqlite3.IntegrityError) else None
    return int(code) & 0xFF


def _reason(error: BaseException) -> str:
    """The stable code of LedgerUnusable."""
    code = _code(error)
    if isinstance(error, BlockingIOError):
        return "locked"
    return "io-error" if code is None else _REASONS.get(code, "io-error")
