"""Where an output goes, from one text: a folder, a remote, a bucket, a repository, a command. Pure.

What is refused is refused for what it says; whether the place is there, the saving finds out.
"""

from __future__ import annotations

import posixpath
import re
from typing import TYPE_CHECKING

from launcher.spec.messages import Refused, nearest, shown

if TYPE_CHECKING:
    from collections.abc import Callable

FOLDER_EXAMPLE = "/content/drive/MyDrive/out"
COMMAND = "command:"
PLACEHOLDER = "{path}"

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):(//)?")
# What an input method makes of a colon: nobody names a folder `rclone：drive`.
FULL_WIDTH_SCHEME = re.compile(r"\s*(?:rclone|gs|s3|hf|command)\s*(?=：)", re.IGNORECASE)
_PREFIXES = {"rclone": "rclone:", "gs": "gs://", "s3": "s3://", "hf": "hf://", "command": COMMAND}
_MEANT = {
    **dict.fromkeys(("gcs", "gcp", "google", "gsutil", "gcloud"), "gs://"),
    **dict.fromkeys(("s3a", "s3n", "aws"), "s3://"),
    **dict.fromkeys(("huggingface", "hugging-face", "hfhub"), "hf://"),
    **dict.fromkeys(("cmd", "shell", "sh", "bash", "exec", "run"), COMMAND),
}
# Near to one of ours by their letters, and something else.
_SOMETHING_ELSE = ("hdfs", "gfs", "ssh", "sftp", "http", "https")
_HUB = re.compile(r"https?://(?:www\.)?(?:huggingface\.co|hf\.co)/+([^?#]*)", re.IGNORECASE)
# `drive:…`, or `:local:…` and `:s3,env_auth:…`, which need no configuration.
_REMOTE = re.compile(r"(?::[A-Za-z0-9]+|[\w.+@][\w.+@ -]*)(?:,[^/]*)?:(?P<path>.*)", re.DOTALL)
_BUCKETS = {"gs": re.compile(r"[a-z0-9][a-z0-9._-]+"), "s3": re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]+")}
# `user/repo`, `user/repo@revision`; `buckets/` is something else.
_REPOSITORY = re.compile(
    r"(?:(?:models|datasets|spaces)/)?(?!(?:models|datasets|spaces|buckets)/)"
    r"[\w.-]+/[\w.-]+(?:@[\w.-]+)?(?:/(?P<path>.*))?",
    re.ASCII | re.DOTALL,
)
_QUOTED = re.compile(r"""(["'])\{path\}\1""")
# Wildcards and versions to one tool or another, and what no URL has.
_ODD = re.compile(r"[*?\[\]#\x00-\x1f\x7f]")


def parse_target(text: str) -> str:
    """The target as saving/model.py reads it; what has a prefix has no blanks around it."""
    word = text.strip()
    match = _SCHEME.match(word)
    if match is None:
        return parse_folder(text)
    scheme = match.group(1)
    rest = word[match.end(1) + 1 :]
    if scheme == "command":
        return _command(rest)
    if "$" in word:
        raise Refused("path-variable")
    check = _CHECKS.get(scheme)
    if check is None or (_PREFIXES[scheme].endswith("//") and match.group(2) is None):
        raise _explain_scheme(word, scheme, slashes=match.group(2) is not None)
    check(rest.removeprefix("//") if scheme != "rclone" else rest)
    return word


def parse_folder(text: str) -> str:
    """A path; `~` at its start is left to the app."""
    if "$" in text:
        raise Refused("path-variable")
    return text


def parse_mirror(text: str) -> str:
    """A folder and nothing else: every line that is written is appended to a file there."""
    match = _SCHEME.match(text.strip())
    if match is not None:
        raise Refused("mirror-not-folder", found=shown(match.group()))
    return parse_folder(text)


def collision_key(to: str, path: str, workdir: str) -> str:
    """Two outputs with one key would replace each other: what lies at the target afterwards."""
    source = posixpath.normpath(posixpath.join(workdir, path))
    if to.startswith(COMMAND):
        return f"{to} {source}"
    name = posixpath.basename(source)
    if _SCHEME.match(to):
        # `//` inside the key of a bucket is part of it.
        return f"{to.rstrip('/')}/{name}"
    return posixpath.join(posixpath.normpath(posixpath.join("" if to.startswith("~") else workdir, to)), name)


def _command(rest: str) -> str:
    command = rest.strip()
    if PLACEHOLDER not in command:
        raise Refused("target-command")
    if _QUOTED.search(command) is not None:
        raise Refused("target-command-quoted")
    return COMMAND + command


def _check_remote(rest: str) -> None:
    match = _REMOTE.fullmatch(rest.strip())
    if match is None:
        raise Refused("target-remote")
    _check_path(match.group("path"))


def _check_bucket(rest: str, scheme: str) -> None:
    bucket, _, path = rest.partition("/")
    if _BUCKETS[scheme].fullmatch(bucket) is None:
        raise Refused("target-bucket", example=f"{scheme}://my-bucket/finetune")
    _check_path(path)


def _check_repository(rest: str) -> None:
    match = _REPOSITORY.fullmatch(rest)
    if match is None:
        raise Refused("target-repository")
    _check_path(match.group("path") or "")


def _check_path(path: str) -> None:
    odd = _ODD.search(path)
    if odd is None:
        dots = [part for part in path.split("/") if part in (".", "..")]
        if not dots:
            return
    raise Refused("target-path", found=shown(odd.group() if odd is not None else dots[0]))


_CHECKS: dict[str, Callable[[str], None]] = {
    "rclone": _check_remote,
    "gs": lambda rest: _check_bucket(rest, "gs"),
    "s3": lambda rest: _check_bucket(rest, "s3"),
    "hf": _check_repository,
}


def _explain_scheme(word: str, scheme: str, *, slashes: bool) -> Refused:
    """What was meant by a prefix that is none of ours, or is one of ours with something missing."""
    found = shown(f"{scheme}://" if slashes else f"{scheme}:")
    hub = _HUB.match(word)
    if hub is not None:
        return Refused("target-kind-near", found=found, near=shown(f"hf://{hub.group(1)}"))
    name = scheme.lower()
    if name == "file":
        path = "/" + word[len("file:") :].lstrip("/")
        return Refused("target-kind-near", found=found, near=shown(path))
    near = _PREFIXES.get(name) or _MEANT.get(name)
    if near is None and name not in _SOMETHING_ELSE:
        guess = nearest(name, list(_PREFIXES))
        near = _PREFIXES[guess] if guess is not None else None
    if near is not None:
        return Refused("target-kind-near", found=found, near=near)
    if slashes:
        return Refused("target-kind", found=found)
    return Refused("target-kind-remote", found=found, written=shown(word, 40))
