"""A repository of the Hugging Face Hub, through `hf` (0.34 and newer; looked at: 2.4).

A repository has revisions, which never change: the files go up, what arrived is read back at the revision
that then holds, and the manifest names that revision. Whatever is uploaded later or cut off in the
middle, the manifest leads to the whole. `note.json` goes first: it says which paths are being changed, so
that a later save does not take them for what the manifest says.
"""

from __future__ import annotations

import json
import os
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from launcher.saving.model import MANIFEST
from launcher.saving.remote.model import DIFFERS, NotUnderstood, Print, Sent, ToolProblem, ours, speakable
from launcher.saving.remote.prints import sha256_of
from launcher.saving.remote.scratch import tree_of_links
from launcher.saving.remote.states import manifest_from
from launcher.words import words

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from launcher.saving.model import FileRow, Manifest
    from launcher.saving.remote.tool import Tools
    from launcher.words import Text

NOTE = "note.json"
ENVIRONMENT = {
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    # What is read back must come from the store, not from pieces that were kept here.
    "HF_XET_CHUNK_CACHE_SIZE_BYTES": "0",
    "NO_COLOR": "1",
}
_FORM = re.compile(r"hf://(?:(models|datasets|spaces)/)?([\w.-]+/[\w.-]+)(?:@([\w./-]+?))?(?:/(.*))?")
_MOST_NAMES, _MOST_LETTERS = 200, 60_000
# How the tool says that a repository or revision does not exist: it has no exit code for that.
_ABSENT = re.compile(
    r"404 Client Error|(Repository|Revision)NotFound|"
    r"\b(repository|model|dataset|space|revision)\b.{0,200}not found",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """`folder`: where the files lie (links into a cache), or empty. `revision`: whose they are."""

    folder: str = ""
    revision: str = ""


@dataclass(frozen=True, slots=True)
class HfState:
    """`revision`: where the files of the manifest are. `dirty`: paths a cut off save may have changed."""

    manifest: Manifest | None = None
    revision: str = ""
    dirty: frozenset[str] = frozenset()


class Hub:
    """`hf://[datasets/]user/repo[@revision][/path]`."""

    def __init__(self, text: str, tools: Tools, folder: str) -> None:
        self.text, self.tools, self.folder = text, tools, folder
        match = _FORM.fullmatch(text.rstrip("/"))
        kind, repo, revision, base = match.groups() if match else (None, "", None, None)
        self.repo = str(repo)
        self.kind = (kind or "models").removesuffix("s")
        self.revision, self.base = revision or "", (base or "").strip("/")

    def problem(self) -> Text:
        """The tool and the form of the text."""
        if not self.tools.found("hf"):
            return words("hf is not installed (`pip install -U huggingface_hub`)")
        if not self.repo or self.text.startswith("hf://buckets/"):
            return words("{target} is not of the form hf://[datasets/]USER/REPO/PATH", target=self.text)
        return ""

    def refuses(self, path: str) -> str:
        """Lines of UTF-8."""
        return speakable(path)

    def upload(self, local: str, path: str, size: int = 0) -> Sent:
        """A folder with all that is in it, or a file. A new repository is a private one."""
        told = self.tools.run(
            ["hf", "upload", self.repo, local, self._at(path), "--repo-type", self.kind, *self._at_revision(),
             "--private", "--commit-message", "colab-run"],
            moving=size,
        )  # fmt: skip
        return Sent("" if told.code == 0 else told.said)

    def snapshot(self, paths: Sequence[str], revision: str = "", size: int = 0) -> Snapshot:
        """Download these of them that exist. Raises ToolProblem."""
        cache = os.path.join(self.folder, f"cache-{os.urandom(4).hex()}")
        # With a single name the tool fails where there is no such file; with two it takes them for patterns.
        patterns = [_literally(self._at(path)) for path in (paths if len(paths) > 1 else [*paths, *paths])]
        wanted = ["--revision", revision] if revision else self._at_revision()
        told = self.tools.run(
            ["hf", "download", self.repo, *patterns, "--repo-type", self.kind, *wanted, "--cache-dir", cache],
            moving=size,
        )
        if told.code != 0:
            if not _ABSENT.search(told.err):
                raise ToolProblem(told.said)
            self._must_be_somebody(told.said)
            return Snapshot()
        snapshots = os.path.join(cache, f"{self.kind}s--{self.repo.replace('/', '--')}", "snapshots")
        revisions = os.listdir(snapshots) if os.path.isdir(snapshots) else []
        if len(revisions) != 1:
            return Snapshot()
        return Snapshot(os.path.join(snapshots, revisions[0], self.base), revisions[0])

    def _must_be_somebody(self, said: str) -> None:
        """To nobody in particular a private repository is one that does not exist."""
        told = self.tools.run(["hf", "auth", "whoami"])
        if told.code != 0 or b"Not logged in" in told.out:
            raise ToolProblem(f"{said}; {told.err.splitlines()[-1] if told.err else told.said}")

    def forget(self, snapshot: Snapshot) -> None:
        """Make room."""
        from shutil import rmtree

        if snapshot.folder:
            rmtree(snapshot.folder.split("/snapshots/")[0], ignore_errors=True)

    def confirm(self, base: str, wanted: Mapping[str, Print]) -> tuple[set[str], str]:
        """(What of it was read back byte for byte, the revision that all of this was read from)."""
        found: set[str] = set()
        revision = ""
        for batch in self.batches(base, wanted):
            snapshot = self.snapshot([_join(base, path) for path in batch], revision)
            revision = revision or snapshot.revision
            if revision != snapshot.revision:
                continue  # None of this batch is there.
            for path in batch:
                place = os.path.join(snapshot.folder, _join(base, path))
                if os.path.isfile(place):
                    one = sha256_of(place, self.tools.meter)
                    found |= {path} if one == (wanted[path].size, wanted[path].sha256) else set()
            self.forget(snapshot)
        return found, revision

    def batches(self, base: str, wanted: Mapping[str, Print | FileRow]) -> list[list[str]]:
        """As many as fit on a command line, and twice on the disk."""
        status = os.statvfs(self.folder)
        room = status.f_bavail * status.f_frsize // 2
        batches: list[list[str]] = [[]]
        letters = size = 0
        for path, one in wanted.items():
            letters, size = letters + len(path.encode()) + len(base) + 8, size + one.size
            if batches[-1] and (len(batches[-1]) >= _MOST_NAMES or letters > _MOST_LETTERS or size > room):
                batches.append([])
                letters, size = len(path.encode()), one.size
            batches[-1].append(path)
        return batches

    def state(self, name: str) -> HfState:
        """The manifest and the note. Raises ToolProblem."""
        snapshot = self.snapshot([ours(name, MANIFEST), ours(name, NOTE)])
        place = os.path.join(snapshot.folder, ours(name, MANIFEST))
        if not snapshot.folder or not os.path.isfile(place):
            self.forget(snapshot)
            return HfState()
        document = _document(place)
        note = _document(os.path.join(snapshot.folder, ours(name, NOTE)))
        self.forget(snapshot)
        manifest = manifest_from(document)
        revision = str(document.get("revision"))
        if not re.fullmatch("[0-9a-f]{40}", revision) or "token" not in document:
            raise NotUnderstood
        done = note.get("token") == document["token"]
        return HfState(
            manifest, revision, frozenset() if done else frozenset(map(str, note.get("paths", ())))
        )

    def write(self, path: str, document: Mapping[str, Any]) -> None:
        """A small file, read back. Raises ToolProblem."""
        text = json.dumps(document).encode()
        local = os.path.join(self.folder, f"small-{os.urandom(4).hex()}")
        with open(local, "wb") as writer:
            writer.write(text)
        sent = self.upload(local, path)
        snapshot = self.snapshot([path])
        place = os.path.join(snapshot.folder, path)
        arrived = b""
        if snapshot.folder and os.path.isfile(place):
            with open(place, "rb") as reader:
                arrived = reader.read()
        self.forget(snapshot)
        if arrived != text:
            raise ToolProblem(sent.said or DIFFERS)

    def remove(self, folder: str, pattern: str) -> None:
        """By an upload of nothing. If it cannot be done a small file stays."""
        self.tools.run(
            ["hf", "upload", self.repo, tree_of_links(self.folder, {}), self._at(folder), "--repo-type",
             self.kind, *self._at_revision(), "--delete", pattern, "--commit-message", "colab-run"]
        )  # fmt: skip

    def _at(self, path: str) -> str:
        return f"{self.base}/{path}" if self.base else path

    def _at_revision(self) -> list[str]:
        return ["--revision", self.revision] if self.revision else []


def _join(base: str, path: str) -> str:
    return f"{base}/{path}" if path else base


def _document(path: str) -> dict[str, Any]:
    try:
        with open(path, "rb") as reader:
            document = json.loads(reader.read())
    except (OSError, ValueError):
        return {}
    return document if isinstance(document, dict) else {}


def _literally(path: str) -> str:
    """As a pattern that fits only this path, and does not look like an option."""
    return re.sub(r"([*?\[]|^-)", r"[\1]", path)
