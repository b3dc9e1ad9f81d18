"""Google Cloud Storage through `gcloud storage` (looked at: Google Cloud CLI 528).

An object's md5Hash is the store's own, of the content. Composite objects have none, so uploads in parallel
pieces are switched off for our calls; whatever has none all the same is read back.
"""

from __future__ import annotations

import base64
import json
import re
from typing import TYPE_CHECKING

from launcher.saving.remote.model import Sent, Stored, ToolProblem, speakable
from launcher.saving.remote.prints import Hasher
from launcher.words import words

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from launcher.saving.remote.model import Print
    from launcher.saving.remote.tool import Ran, Tools
    from launcher.words import Text

ENVIRONMENT = {
    "CLOUDSDK_STORAGE_PARALLEL_COMPOSITE_UPLOAD_ENABLED": "False",
    "CLOUDSDK_CORE_DISABLE_PROMPTS": "1",
}
_WILD = re.compile(r"[*?\[\]]")
# So many files beside those of a saved state are left out one by one; more are downloaded and ignored.
MOST_LEFT_OUT = 300


class Gcloud:
    """A `gs://bucket/path`."""

    algorithm = "md5"
    moves_by_itself = True

    def __init__(self, base: str, tools: Tools) -> None:
        self.base, self.tools = base.rstrip("/"), tools
        self.read_back = False

    def problem(self) -> Text:
        """The tool and the form of the text."""
        if not self.tools.found("gcloud"):
            return words("gcloud is not installed (https://cloud.google.com/sdk/docs/install)")
        if not re.fullmatch(r"gs://[a-z0-9][a-z0-9._-]+(/.*)?", self.base) or _WILD.search(self.base):
            return words("{target} is not of the form gs://BUCKET/PATH", target=self.base)
        return ""

    def get_ready(self) -> None:
        """There is nothing to ask."""

    def refuses(self, path: str) -> str:
        """Asterisks and brackets are wildcards to gcloud wherever a single object is named."""
        return speakable(path)

    def listing(self, path: str, *, single: bool = False) -> dict[str, Stored]:
        """No object fits: an empty list and exit code 0."""
        told = self.tools.must(
            self._storage(
                "objects", "list", self._at(path) + ("" if single else "/**"),
                "--fetch-encrypted-object-hashes", "--format=json(name,size,md5_hash)",
            ),
            waits=True,
        )  # fmt: skip
        prefix = self._at(path).split("/", 3)[3] + ("" if single else "/")
        try:
            return {
                str(row["name"])[len(prefix) :]: Stored(int(row["size"]), _hex(row.get("md5_hash")))
                for row in json.loads(told.out or b"[]")
                if str(row["name"]).startswith(prefix)
            }
        except (ValueError, KeyError, TypeError) as error:
            raise ToolProblem(f"gcloud storage objects list: {error!r}") from error

    def upload(self, tree: str, folder: str, size: int) -> Sent:
        """`rsync` says exactly where each file goes; `cp -r` decides by what is there."""
        return self._sent(
            self.tools.run(
                self._storage(
                    "rsync", "--recursive", "--checksums-only", "--no-ignore-symlinks", tree, self._at(folder)
                ),
                moving=size,
            )
        )

    def upload_file(self, source: str, path: str, size: int = 0) -> Sent:
        """One file."""
        return self._sent(self.tools.run(self._storage("cp", source, self._at(path)), moving=size))

    def move(self, source: str, target: str, *, single: bool) -> Sent:
        """Copied by the store; the staged ones are removed when all is done."""
        how = ("cp",) if single else ("rsync", "--recursive", "--checksums-only")
        return self._sent(self.tools.run(self._storage(*how, self._at(source), self._at(target)), waits=True))

    def confirm(self, folder: str, wanted: Mapping[str, Print], *, single: bool = False) -> set[str]:
        """Read back, one by one: this is for the few that have no hash."""
        self.read_back = True
        found = set()
        for path, one in wanted.items():
            hasher = Hasher()
            place = self._at(folder if single else f"{folder}/{path}")
            ran = self.tools.run(self._storage("cat", place), sink=hasher.feed)
            if ran.code == 0 and (hasher.size, hasher.sha256) == (one.size, one.sha256):
                found.add(path)
        return found

    def download(self, folder: str, into: str, wanted: Collection[str], size: int) -> Sent:
        """The folder, without what is not wanted."""
        others = sorted(set(self.listing(folder)) - set(wanted))
        left_out = []
        if 0 < len(others) <= MOST_LEFT_OUT:
            # A comma would end the expression.
            texts = (re.escape(path).replace(",", r"\x2c") for path in others)
            left_out = [f"--exclude=^({'|'.join(texts)})$"]
        argv = self._storage("rsync", "--recursive", "--checksums-only", *left_out, self._at(folder), into)
        return self._sent(self.tools.run(argv, moving=size))

    def download_file(self, path: str, into: str) -> Sent:
        """One file."""
        return self._sent(self.tools.run(self._storage("cp", self._at(path), into)))

    def remove(self, path: str, *, single: bool = False) -> None:
        """Fails when there is nothing: as good."""
        recursive = () if single else ("--recursive",)
        self.tools.run(self._storage("rm", *recursive, self._at(path)), waits=True)

    def _at(self, path: str) -> str:
        return f"{self.base}/{path}"

    def _storage(self, *words_: str) -> list[str]:
        return ["gcloud", "storage", *words_, "--quiet"]

    def _sent(self, ran: Ran) -> Sent:
        return Sent("" if ran.code == 0 else ran.said)


def _hex(md5: object) -> str:
    try:
        return base64.b64decode(md5).hex() if isinstance(md5, str) else ""
    except ValueError:
        return ""
