"""Keys that nobody asked for: another tool's, another place's, or a slip of the keyboard. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from launcher.spec.aliases import ALIASES, FOREIGN, IDLE_ALIASES, MEANT
from launcher.spec.messages import nearest
from launcher.words import words

if TYPE_CHECKING:
    from launcher.spec.reader import MappingReader
    from launcher.spec.tree import Entry
    from launcher.words import Text, Words

# A near match costs a millisecond, and a file has room for ten thousand wrong keys.
_MOST_GUESSES = 50
# Where a key belongs that people write one level too high or too low.
_HOMES: dict[str, tuple[str, ...]] = {
    "": (
        "name", "lang", "resources", "workdir", "env", "secrets", "setup", "run", "outputs", "max_duration",
        "stop_grace", "budget", "retry", "idle", "leftovers", "release", "ledger", "notify", "checks",
        "inputs", "matrix",
    ),
    "resources": ("gpu", "ram", "disk", "cpus", "tpu", "gpu_sharing", *ALIASES["resources"]),
    "release": ("when", "grace", "unsaved", "hold", "after_hold", "with", "confirm"),
    "outputs": ("include", "exclude", "every", "restore"),
    "ledger": ("mirror",),
    "retry": ("max_restarts", "backoff", "env_on_oom"),
    "budget": ("compute_units", "usd", "usd_per_hour"),
    "checks": ("packages", "network"),
    "idle": ("action",),
}  # fmt: skip


def close(reader: MappingReader, foreign: dict[str, Words] | None = None) -> None:
    """Complain about every key of the mapping that was not asked for."""
    if foreign is None:
        foreign = FOREIGN if reader.path in ("", "resources") else {}
    for count, (entry, path) in enumerate(reader.rest()):
        if entry.written in foreign:
            _add(reader, "foreign", entry, path, hint=foreign[entry.written])
        else:
            _unknown(reader, entry, path, guess=count < _MOST_GUESSES)


def _unknown(reader: MappingReader, entry: Entry, path: str, *, guess: bool) -> None:
    name = entry.written
    homes = [home for home, keys in _HOMES.items() if name in keys and home != reader.path]
    meant = MEANT.get(name.lower())
    known = [key for key in reader.known if key not in IDLE_ALIASES]
    near = meant if meant in known else None
    if near is None and guess:
        found = nearest(name, [*known, *(word for word, key in MEANT.items() if key in known)])
        near = found if found in known or found is None else MEANT[found]
    if homes:
        here = f"`{reader.path}`" if reader.path else words("the top level")
        there = (
            words("under `{home}`", home=homes[0])
            if homes[0]
            else words("at the top level, without indentation")
        )
        _add(reader, "unknown-key-elsewhere", entry, path, here=here, there=there)
    elif near is not None:
        _add(reader, "unknown-key-near", entry, path, near=near)
    else:
        _add(reader, "unknown-key", entry, path, known=", ".join(known))


def _add(reader: MappingReader, wording: str, entry: Entry, path: str, **fields: Text) -> None:
    reader.report.add(wording, entry.key, path, end=entry.end, **fields)
