"""What the engine asks of a store that is reached through a tool, and what a store answers."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from launcher.saving.model import MANIFEST, OURS

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from launcher.words import Text

COMMIT = "commit.json"
STAGED = "staged"

# What a report says, word for word: `words.reason` knows them in other languages.
CHANGED = "it changed while it was copied, twice"
DIFFERS = "what was read back differs from what was written"
NOT_ALL_THERE = "the save there is not whole: an earlier one was cut off and cannot be completed"
NOT_UNDERSTOOD = "what is noted of the save there is cut off, or of a newer version of colab-run"
ANOTHER_SAVE = "another save of this run is at work"
IN_THE_WAY = "what an earlier try left there cannot be removed"


class ToolProblem(Exception):
    """A tool did not do what it was asked, and nothing can be said of what it did. The text is the reason."""


class NotUnderstood(ToolProblem):
    """Something was saved there that we cannot read: no reason to put something else over it."""

    def __init__(self) -> None:
        super().__init__(NOT_UNDERSTOOD)


@dataclass(frozen=True, slots=True)
class Print:
    """What a file is: its size, its sha256 and the digest that the store speaks of; `source` to read it."""

    source: str
    size: int
    sha256: str
    digest: str


@dataclass(frozen=True, slots=True)
class Stored:
    """What a store says of a file of its own. `digest` is empty where it does not know the content."""

    size: int
    digest: str = ""


@dataclass(slots=True)
class Sent:
    """`said`: what the tool complained of, if it did. What really arrived is another question."""

    said: str = ""


class Store(Protocol):
    """A place where files lie under paths (relative to the target, `/` between the parts).

    Every method but `refuses` raises ToolProblem when nothing can be said. What `upload`, `move` and
    `download` really did is always looked up afterwards: their exit codes only give a reason.
    """

    # The name in hashlib of the digests that `listing` gives.
    algorithm: str
    # Did `confirm` have to read anything back?
    read_back: bool
    # Is `move` the store's own work? Then what was moved is what was there.
    moves_by_itself: bool

    def refuses(self, path: str) -> str:
        """Why this path cannot be given to the tool; empty if it can."""
        ...

    def listing(self, path: str, *, single: bool = False) -> dict[str, Stored]:
        """All files below a folder by their path in it; of a single file, itself as ""."""
        ...

    def upload(self, tree: str, folder: str, size: int) -> Sent:
        """Everything in the local folder `tree` (links to files), over whatever is there."""
        ...

    def upload_file(self, source: str, path: str, size: int = 0) -> Sent:
        """One file."""
        ...

    def move(self, source: str, target: str, *, single: bool) -> Sent:
        """Folder to folder, file to file, over what is there. May leave the source where it is."""
        ...

    def confirm(self, folder: str, wanted: Mapping[str, Print], *, single: bool = False) -> set[str]:
        """Those of the files that the store holds byte for byte: read back, or by a hash of their content."""
        ...

    def download(self, folder: str, into: str, wanted: Collection[str], size: int) -> Sent:
        """These files of a folder, and perhaps others, into a local one."""
        ...

    def download_file(self, path: str, into: str) -> Sent:
        """One file to a local path."""
        ...

    def remove(self, path: str, *, single: bool = False) -> None:
        """A folder with all that is in it, or a file; if it is there, and if that can be done."""
        ...

    def get_ready(self) -> None:
        """Ask what the store can do; before anything else."""
        ...

    def problem(self) -> Text:
        """Without a network: why this target cannot work; empty if nothing is known against it."""
        ...


def ours(name: str, *parts: str) -> str:
    """A path in our folder beside the output `name`."""
    return "/".join((OURS, name, *parts))


def manifest_path(name: str) -> str:
    """Where the manifest of the output `name` lies."""
    return ours(name, MANIFEST)


def speakable(path: str) -> str:
    """Why no tool can be told of this path; empty if they can. They speak in lines of UTF-8."""
    try:
        path.encode()
    except UnicodeEncodeError:
        return "its name is no UTF-8, which the store cannot take"
    if any(ord(letter) < 32 or ord(letter) == 127 for letter in path):
        return "its name has a line break or another control character, which the store cannot take"
    return ""


def harmless(path: str) -> bool:
    """Is this the path of something in an output, and not a way out of it?"""
    parts = path.split("/")
    return "\0" not in path and not os.path.isabs(path) and not {"", ".", ".."} & set(parts)
