"""`gcloud storage` on a local folder: only what colab-run uses, only options that are documented.

Held against the real one (Google Cloud CLI 528 with a local server): `rsync` of a folder that is not there
fails, `objects list` of nothing is an empty list, wildcards are no destination.
"""

import argparse
import base64
import hashlib
import json
import os
import re
import shutil
import sys
from pathlib import Path

ROOT = Path(os.environ["STAND_IN_ROOT"])
FLAW = os.environ.get("STAND_IN_FLAW", "")


def local(url: str) -> Path:
    return ROOT / url.removeprefix("gs://") if url.startswith("gs://") else Path(url)


def put(source: Path, url: str) -> None:
    if re.search(r"[*?\[\]]", url) and sys.argv[2] != "rsync":
        sys.exit(f"ERROR: (gcloud.storage.cp) Destination ({url}) contains an unexpected wildcard.")
    target = local(url)
    target.parent.mkdir(parents=True, exist_ok=True)
    data = source.read_bytes()
    if FLAW == "other bytes" and "model" in target.name and url.startswith("gs://"):
        data = bytes([data[0] ^ 1]) + data[1:]
    target.write_bytes(data)


def files(folder: Path) -> list[str]:
    return sorted(str(one.relative_to(folder)) for one in folder.rglob("*") if one.is_file())


def objects_list(args: argparse.Namespace) -> None:
    assert args.format == "json(name,size,md5_hash)"
    url = args.urls[0]
    base = local(url.removesuffix("/**"))
    found = [base / path for path in files(base)] if url.endswith("/**") else [base] * base.is_file()
    bucket = ROOT / url.split("/")[2]
    rows = []
    for one in found:
        row = {"name": str(one.relative_to(bucket)), "size": one.stat().st_size}
        if FLAW != "no hashes":
            row["md5_hash"] = base64.b64encode(hashlib.md5(one.read_bytes()).digest()).decode()
        rows.append(row)
    print(json.dumps(rows))


def rsync(args: argparse.Namespace) -> None:
    source = local(args.source)
    if not source.is_dir():
        sys.exit(f"ERROR: (gcloud.storage.rsync) Did not find existing container at: {args.source}")
    assert args.recursive and args.checksums_only
    if not args.source.startswith("gs://"):
        assert args.no_ignore_symlinks, "by default rsync leaves links out"
    for path in files(source):
        if not (args.exclude and re.match(args.exclude, path)):
            put(source / path, f"{args.destination}/{path}")


def cp(args: argparse.Namespace) -> None:
    if not local(args.source).is_file():
        sys.exit("ERROR: (gcloud.storage.cp) The following URLs matched no objects or files")
    put(local(args.source), args.destination)


def cat(args: argparse.Namespace) -> None:
    try:
        sys.stdout.buffer.write(local(args.url).read_bytes())
    except OSError:
        sys.exit("ERROR: (gcloud.storage.cat) The following URLs matched no objects or files")


def rm(args: argparse.Namespace) -> None:
    place = local(args.url)
    if not place.exists():
        sys.exit("ERROR: (gcloud.storage.rm) The following URLs matched no objects or files")
    shutil.rmtree(place) if args.recursive else place.unlink()


def main() -> None:
    assert os.environ["CLOUDSDK_STORAGE_PARALLEL_COMPOSITE_UPLOAD_ENABLED"] == "False"
    assert sys.argv[1] == "storage"
    parser = argparse.ArgumentParser(allow_abbrev=False)
    verbs = parser.add_subparsers(required=True)
    one = verbs.add_parser("objects", allow_abbrev=False).add_subparsers(required=True)
    one = one.add_parser("list", allow_abbrev=False)
    one.add_argument("urls", nargs=1)
    one.add_argument("--fetch-encrypted-object-hashes", action="store_true", required=True)
    one.add_argument("--format", required=True)
    one.set_defaults(do=objects_list)
    made = [one]
    for verb, positional in ((rsync, 2), (cp, 2), (cat, 1), (rm, 1)):
        one = verbs.add_parser(verb.__name__, allow_abbrev=False)
        for name in ("source", "destination") if positional == 2 else ("url",):
            one.add_argument(name)
        one.set_defaults(do=verb)
        if verb in (rsync, rm):
            one.add_argument("--recursive", action="store_true")
        if verb is rsync:
            one.add_argument("--checksums-only", action="store_true")
            one.add_argument("--no-ignore-symlinks", action="store_true")
            one.add_argument("--exclude")
        made.append(one)
    for one in made:
        one.add_argument("--quiet", action="store_true", required=True)
    args = parser.parse_args(sys.argv[2:])
    args.do(args)


main()
