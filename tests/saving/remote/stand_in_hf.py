"""`hf upload` and `hf download` on a local folder: only what colab-run uses, only what is documented.

Held against the source of huggingface_hub 2.4: one file name is an exact name and must exist, several are
patterns and need not; a cache has `snapshots/REVISION` with links to blobs; an upload leaves `.cache` out.
"""

import argparse
import fnmatch
import hashlib
import os
import shutil
import sys
from pathlib import Path

ROOT = Path(os.environ["STAND_IN_ROOT"])
FLAW = os.environ.get("STAND_IN_FLAW", "")


def files(folder: Path) -> list[str]:
    return sorted(str(one.relative_to(folder)) for one in folder.rglob("*") if one.is_file())


def repository(args: argparse.Namespace) -> Path:
    return ROOT / f"{args.repo_type}s" / args.repo


def head(repo: Path, revision: str = "") -> str:
    return revision if len(revision) == 40 else (repo / f"branch-{revision or 'main'}").read_text()


def upload(args: argparse.Namespace) -> None:
    repo, local = repository(args), Path(args.local)
    branch = repo / f"branch-{args.revision or 'main'}"
    old = repo / branch.read_text() if branch.exists() else None
    revision = hashlib.sha1(os.urandom(20)).hexdigest()
    new = repo / revision
    shutil.copytree(old, new) if old else new.mkdir(parents=True)
    if args.delete:
        for path in files(new / args.path):
            if fnmatch.fnmatch(path, args.delete):
                (new / args.path / path).unlink()
    for path in files(local) if local.is_dir() else [""]:
        target = new / args.path / path if path else new / args.path
        target.parent.mkdir(parents=True, exist_ok=True)
        data = (local / path).read_bytes() if path else local.read_bytes()
        if FLAW == "other bytes" and "model" in target.name:
            data = bytes([data[0] ^ 1]) + data[1:]
        target.write_bytes(data)
    branch.write_text(revision)
    print(f"https://huggingface.co/{args.repo}/tree/main/{args.path}")


def download(args: argparse.Namespace) -> None:
    repo = repository(args)
    try:
        revision = head(repo, args.revision or "")
    except OSError:
        kind = args.repo_type.capitalize()
        print("Hint: The `hf-cli` skill is not installed.", file=sys.stderr)
        print(f"Error: {kind} '{args.repo}' not found.", file=sys.stderr)
        print("If the repo is private, make sure you are authenticated.", file=sys.stderr)
        sys.exit("Hint: set HF_DEBUG=1 as environment variable for full traceback.")
    tree, cache = repo / revision, Path(args.cache_dir) / f"{args.repo_type}s--{args.repo.replace('/', '--')}"
    if len(args.files) == 1:
        chosen = args.files if (tree / args.files[0]).is_file() else sys.exit("Error: Entry Not Found: 404")
    else:
        chosen = [p for p in files(tree) if any(fnmatch.fnmatch(p, pattern) for pattern in args.files)]
    snapshot = cache / "snapshots" / revision
    if chosen:
        snapshot.mkdir(parents=True)
        (cache / "blobs").mkdir()
    for path in chosen:
        data = (tree / path).read_bytes()
        blob = cache / "blobs" / hashlib.sha256(data).hexdigest()
        blob.write_bytes(data)
        (snapshot / path).parent.mkdir(parents=True, exist_ok=True)
        (snapshot / path).symlink_to(os.path.relpath(blob, (snapshot / path).parent))
    print(snapshot)


def whoami(args: argparse.Namespace) -> None:
    if FLAW == "nobody":
        sys.exit("Error: Not logged in. Run `hf auth login` first.")
    print("user")


def main() -> None:
    assert os.environ["HF_XET_CHUNK_CACHE_SIZE_BYTES"] == "0"
    parser = argparse.ArgumentParser(allow_abbrev=False)
    verbs = parser.add_subparsers(required=True)
    one = verbs.add_parser("upload", allow_abbrev=False)
    for name in ("repo", "local", "path"):
        one.add_argument(name)
    one.add_argument("--private", action="store_true")
    one.add_argument("--commit-message")
    one.add_argument("--delete")
    one.set_defaults(do=upload)
    two = verbs.add_parser("download", allow_abbrev=False)
    two.add_argument("repo")
    two.add_argument("files", nargs="+")
    two.add_argument("--cache-dir", required=True)
    two.set_defaults(do=download)
    three = verbs.add_parser("auth", allow_abbrev=False)
    three.add_argument("what", choices=["whoami"])
    three.set_defaults(do=whoami)
    for verb in (one, two):
        verb.add_argument("--repo-type", choices=("model", "dataset", "space"), required=True)
        verb.add_argument("--revision")
    args = parser.parse_args()
    args.do(args)


main()
