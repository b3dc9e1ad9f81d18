"""rclone (1.56 and newer; looked at: 1.60 and the documentation of 1.76): every store it has a remote for.

A hash is believed where the store computes it from the content (`_OWN_HASHES`). What rclone calls a hash
of other stores may be what the uploader wrote beside the content (S3 with parts, B2 with large files):
there, and where there is none (crypt), the files are read back and hashed as they stream by
(`hashsum --download`).
"""

from __future__ import annotations

import json
import os
import re
from typing import TYPE_CHECKING

from launcher.saving.remote.model import DIFFERS, Print, Sent, Stored, ToolProblem, speakable
from launcher.words import words

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from launcher.saving.remote.tool import Ran, Tools
    from launcher.words import Text

_OWN_HASHES = frozenset(("local", "drive", "google cloud storage", "box", "sftp", "pcloud"))
_KNOWN_HASHES = ("sha256", "md5", "sha1")
_NO_FOLDER, _NO_FILE = 3, 4
_QUIET = ("--ask-password=false", "--log-level=ERROR", "--stats=0", "--progress=false", "--interactive=false")
_LOCAL_LIMIT_S = 20.0


class Rclone:
    """A `remote:path` of rclone."""

    def __init__(self, base: str, tools: Tools, folder: str) -> None:
        self.base, self.tools, self.folder = base, tools, folder
        self.algorithm = ""
        self.moves_by_itself = False
        self.read_back = False

    def problem(self) -> Text:
        """The tool, the form of the text, and whether the remote is in its configuration."""
        if not self.tools.found("rclone"):
            return words("rclone is not installed (https://rclone.org/install)")
        match = re.fullmatch(r":?[\w+@.\- ]*[^:]*:.*", self.base, re.DOTALL)
        if match is None or self.base.startswith("-"):
            return words("{target} is not of the form rclone:REMOTE:PATH", target=f"rclone:{self.base}")
        remote = re.split("[:,]", self.base)[0] + ":"
        if remote == ":":
            return ""  # A connection string: all of it is said here.
        told = self.tools.run(["rclone", "listremotes", *_QUIET], limit_s=_LOCAL_LIMIT_S)
        if told.code != 0:
            return told.said
        if remote not in told.out.decode("utf-8", "replace").split("\n"):
            return words("rclone has no remote {remote} (`rclone config` makes one)", remote=remote)
        return ""

    def get_ready(self) -> None:
        """Ask what the remote can do."""
        told = self._must("backend", "features", self.base)
        try:
            features = json.loads(told.out)
            name, hashes = str(features["Name"]), list(map(str, features["Hashes"] or ()))
            can = features["Features"]
            self.moves_by_itself = bool(can.get("Move") or can.get("Copy"))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ToolProblem(f"rclone backend features: {error!r}") from error
        if self._type(name) in _OWN_HASHES:
            self.algorithm = next((one for one in _KNOWN_HASHES if one in hashes), "")

    def _type(self, name: str) -> str:
        if name == "local":
            return name
        if name.startswith(":"):
            return re.split("[:,{]", name[1:])[0]
        told = self._must("listremotes", "--long").out.decode("utf-8", "replace")
        rows = (line.partition(":") for line in told.splitlines())
        return next((kind.strip() for remote, _, kind in rows if remote.strip() == name), "")

    def refuses(self, path: str) -> str:
        """Lines of UTF-8; what else a remote cannot take is seen when it is not there afterwards."""
        return speakable(path)

    def listing(self, path: str, *, single: bool = False) -> dict[str, Stored]:
        """`lsjson`; of a file it lists the file itself."""
        hashes = ["--hash", "--hash-type", self.algorithm] if self.algorithm else []
        told = self._run(
            "lsjson",
            "-R",
            "--files-only",
            "--no-mimetype",
            "--no-modtime",
            *hashes,
            self._at(path),
            waits=True,
        )
        if told.code in (_NO_FOLDER, _NO_FILE):
            return {}
        if told.code != 0:
            raise ToolProblem(told.said)
        try:
            rows = json.loads(told.out or b"[]")
            found = {
                str(row["Path"]): Stored(row["Size"], (row.get("Hashes") or {}).get(self.algorithm, ""))
                for row in rows
            }
        except (ValueError, KeyError, TypeError) as error:
            raise ToolProblem(f"rclone lsjson: {error!r}") from error
        if not single:
            return found
        return {"": found[os.path.basename(path)]} if list(found) == [os.path.basename(path)] else {}

    def upload(self, tree: str, folder: str, size: int) -> Sent:
        """Times say nothing: what is in the tree has to go there."""
        return self._sent(
            self._run("copy", "--copy-links", "--ignore-times", tree, self._at(folder), moving=size)
        )

    def upload_file(self, source: str, path: str, size: int = 0) -> Sent:
        """One file."""
        return self._sent(
            self._run("copyto", "--copy-links", "--ignore-times", source, self._at(path), moving=size)
        )

    def move(self, source: str, target: str, *, single: bool) -> Sent:
        """By the store itself where it can."""
        verb = "moveto" if single else "move"
        return self._sent(self._run(verb, "--ignore-times", self._at(source), self._at(target), waits=True))

    def confirm(self, folder: str, wanted: Mapping[str, Print], *, single: bool = False) -> set[str]:
        """Read back without a disk: rclone hashes what it downloads."""
        self.read_back = True
        if single:
            return self._confirm_file(folder, wanted[""])
        told = self._run(
            "hashsum", "sha256", "--download", "--files-from-raw", self._list(wanted), self._at(folder),
        )  # fmt: skip
        found: set[str] = set()
        for line in told.out.decode("utf-8", "replace").split("\n"):
            digest, _, path = line.partition("  ")
            if path in wanted and wanted[path].sha256 == digest:
                found.add(path)
        return found

    def _confirm_file(self, path: str, wanted: Print) -> set[str]:
        told = self._run("hashsum", "sha256", "--download", self._at(path))
        return {""} if told.out.decode("utf-8", "replace").partition("  ")[0] == wanted.sha256 else set()

    def download(self, folder: str, into: str, wanted: Collection[str], size: int) -> Sent:
        """Exactly these."""
        return self._sent(
            self._run(
                "copy", "--ignore-times", "--files-from-raw", self._list(wanted), self._at(folder), into,
                moving=size,
            )
        )  # fmt: skip

    def download_file(self, path: str, into: str) -> Sent:
        """One file."""
        return self._sent(self._run("copyto", "--ignore-times", self._at(path), into))

    def remove(self, path: str, *, single: bool = False) -> None:
        """Not there is as good."""
        self._run("deletefile" if single else "purge", "--retries=1", self._at(path), waits=True)

    def _list(self, paths: Collection[str]) -> str:
        name = os.path.join(self.folder, f"files-{os.urandom(4).hex()}")
        with open(name, "w", encoding="utf-8", newline="\n") as writer:
            writer.writelines(f"{path}\n" for path in paths)
        return name

    def _at(self, path: str) -> str:
        return self.base + path if self.base.endswith((":", "/")) else f"{self.base}/{path}"

    def _run(self, *words_: str, moving: int = 0, waits: bool = False) -> Ran:
        return self.tools.run(["rclone", words_[0], *_QUIET, *words_[1:]], moving=moving, waits=waits)

    def _must(self, *words_: str) -> Ran:
        return self.tools.must(["rclone", words_[0], *_QUIET, *words_[1:]], limit_s=60.0)

    def _sent(self, ran: Ran) -> Sent:
        return Sent("" if ran.code == 0 else ran.said or DIFFERS)
