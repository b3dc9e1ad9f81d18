"""S3 and what speaks like it, through the AWS CLI (1 and 2; looked at: 1.45).

The ETag of an object that was put in one piece is the md5 of its content, of one that came in pieces the
md5 of their md5s. Under a KMS key it is neither, and fits nothing: such objects are read back.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

from launcher.saving.remote.model import Sent, Stored, ToolProblem, speakable
from launcher.saving.remote.prints import Hasher, md5_of_pieces
from launcher.words import words

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from launcher.saving.remote.model import Print
    from launcher.saving.remote.tool import Ran, Tools
    from launcher.words import Text

# `--no-cli-pager` is unknown to version 1; the variable is known to both.
ENVIRONMENT = {"AWS_PAGER": "", "AWS_CLI_AUTO_PROMPT": "off"}
MOST_LEFT_OUT = 300
_QUIET = ("--only-show-errors", "--no-progress")


class Aws:
    """An `s3://bucket/path`."""

    algorithm = "md5"
    moves_by_itself = True

    def __init__(self, base: str, tools: Tools) -> None:
        self.base, self.tools = base.rstrip("/"), tools
        self.read_back = False
        self.bucket = self.base.split("/", 3)[2] if self.base.count("/") > 1 else ""

    def problem(self) -> Text:
        """The tool and the form of the text."""
        if not self.tools.found("aws"):
            return words("the AWS CLI is not installed (https://aws.amazon.com/cli)")
        if not re.fullmatch(r"s3://[A-Za-z0-9][A-Za-z0-9._-]+(/.*)?", self.base):
            return words("{target} is not of the form s3://BUCKET/PATH", target=self.base)
        return ""

    def get_ready(self) -> None:
        """There is nothing to ask."""

    def refuses(self, path: str) -> str:
        """Keys are UTF-8; line breaks do not survive every store that speaks S3."""
        return speakable(path)

    def listing(self, path: str, *, single: bool = False) -> dict[str, Stored]:
        """All pages of list-objects-v2."""
        found = self._tags(path, single)
        # In pieces: it says something of the content, but not in one word.
        return {key: Stored(size, "" if "-" in tag else tag) for key, (size, tag) in found.items()}

    def _tags(self, path: str, single: bool) -> dict[str, tuple[int, str]]:
        prefix = self._key(path) + ("" if single else "/")
        told = self.tools.must(
            [
                "aws", "s3api", "list-objects-v2", "--bucket", self.bucket, "--prefix", prefix,
                "--output", "json", "--query", "Contents[].[Key,Size,ETag]",
            ],
            waits=True,
        )  # fmt: skip
        try:
            rows = json.loads(told.out or b"null") or []
            found = {str(key): (int(size), str(tag).strip('"')) for key, size, tag in rows}
        except (ValueError, TypeError) as error:
            raise ToolProblem(f"aws s3api list-objects-v2: {error!r}") from error
        if single:
            return {"": found[prefix]} if prefix in found else {}
        # A key that ends with a slash is how some tools draw a folder.
        return {key[len(prefix) :]: row for key, row in found.items() if not key.endswith("/")}

    def upload(self, tree: str, folder: str, size: int) -> Sent:
        """In parallel, large files in pieces, as the user's configuration has it."""
        return self._sent(self._s3("cp", tree, self._at(folder), "--recursive", moving=size))

    def upload_file(self, source: str, path: str, size: int = 0) -> Sent:
        """One file."""
        return self._sent(self._s3("cp", source, self._at(path), moving=size))

    def move(self, source: str, target: str, *, single: bool) -> Sent:
        """Copied by the store, then deleted."""
        recursive = () if single else ("--recursive",)
        return self._sent(self._s3("mv", self._at(source), self._at(target), *recursive, waits=True))

    def confirm(self, folder: str, wanted: Mapping[str, Print], *, single: bool = False) -> set[str]:
        """What came in pieces by the md5 of the pieces; the rest is read back."""
        tags = self._tags(folder, single)
        found = set()
        for path, one in wanted.items():
            place = folder if single else f"{folder}/{path}"
            tag = tags[path][1] if path in tags else ""
            if self._came_in_these_pieces(place, one, tag) or self._reads_back(place, one):
                found.add(path)
        return found

    def _came_in_these_pieces(self, place: str, one: Print, tag: str) -> bool:
        if not re.fullmatch(r"[0-9a-f]{32}-[0-9]+", tag):
            return False
        told = self.tools.run(
            [
                "aws", "s3api", "head-object", "--bucket", self.bucket, "--key", self._key(place),
                "--part-number", "1", "--output", "json",
            ]
        )  # fmt: skip
        try:
            piece = int(json.loads(told.out)["ContentLength"]) if told.code == 0 else 0
        except (ValueError, KeyError, TypeError):
            return False
        return piece > 0 and md5_of_pieces(one.source, piece, self.tools.meter) == tag

    def _reads_back(self, place: str, one: Print) -> bool:
        self.read_back = True
        hasher = Hasher()
        ran = self.tools.run(
            ["aws", "s3", "cp", self._at(place), "-", "--only-show-errors"], sink=hasher.feed
        )
        return ran.code == 0 and (hasher.size, hasher.sha256) == (one.size, one.sha256)

    def download(self, folder: str, into: str, wanted: Collection[str], size: int) -> Sent:
        """The folder, without what is not wanted."""
        others = sorted(set(self.listing(folder)) - set(wanted))
        left_out = []
        if len(others) <= MOST_LEFT_OUT:
            left_out = [word for path in others for word in ("--exclude", _literally(path))]
        return self._sent(self._s3("cp", self._at(folder), into, "--recursive", *left_out, moving=size))

    def download_file(self, path: str, into: str) -> Sent:
        """One file."""
        return self._sent(self._s3("cp", self._at(path), into))

    def remove(self, path: str, *, single: bool = False) -> None:
        """Not there is as good."""
        self._s3(
            "rm", self._at(path if single else f"{path}/"), *(() if single else ("--recursive",)), waits=True
        )

    def _at(self, path: str) -> str:
        return f"{self.base}/{path}"

    def _key(self, path: str) -> str:
        return self._at(path).split("/", 3)[3]

    def _s3(self, verb: str, *words_: str, moving: int = 0, waits: bool = False) -> Ran:
        quiet = _QUIET if verb != "rm" else ("--only-show-errors",)
        return self.tools.run(["aws", "s3", verb, *words_, *quiet], moving=moving, waits=waits)

    def _sent(self, ran: Ran) -> Sent:
        return Sent("" if ran.code == 0 else ran.said)


def _literally(path: str) -> str:
    """As a pattern that fits only this path, and does not look like an option."""
    return re.sub(r"([*?\[]|^-)", r"[\1]", path)
