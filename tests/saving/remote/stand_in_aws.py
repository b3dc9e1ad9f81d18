"""`aws s3` and `aws s3api` on a local folder: only what colab-run uses, only options that are documented.

Held against the real one (AWS CLI 1.45 with a local server): copying nothing is no error, an object of
more than 8 MiB comes in pieces and says so in its ETag, a list of nothing is `null`.
"""

import argparse
import fnmatch
import hashlib
import json
import os
import shutil
import sys
from pathlib import Path

ROOT = Path(os.environ["STAND_IN_ROOT"])
FLAW = os.environ.get("STAND_IN_FLAW", "")
PIECE = 8 << 20


def local(url: str) -> Path:
    return ROOT / url.removeprefix("s3://") if url.startswith("s3://") else Path(url)


def put(source: Path, url: str) -> None:
    target = local(url)
    target.parent.mkdir(parents=True, exist_ok=True)
    data = source.read_bytes()
    if FLAW == "other bytes" and "model" in target.name and url.startswith("s3://"):
        data = bytes([data[0] ^ 1]) + data[1:]
    target.write_bytes(data)


def files(folder: Path) -> list[str]:
    return sorted(str(one.relative_to(folder)) for one in folder.rglob("*") if one.is_file())


def tag(data: bytes) -> str:
    if FLAW == "no hashes":
        return hashlib.md5(b"a key" + data).hexdigest()  # as under KMS
    if len(data) <= PIECE:
        return hashlib.md5(data).hexdigest()
    pieces = [hashlib.md5(data[at : at + PIECE]).digest() for at in range(0, len(data), PIECE)]
    return f"{hashlib.md5(b''.join(pieces)).hexdigest()}-{len(pieces)}"


def list_objects(args: argparse.Namespace) -> None:
    assert (args.query, args.output) == ("Contents[].[Key,Size,ETag]", "json")
    bucket = ROOT / args.bucket
    found = [path for path in files(bucket) if path.startswith(args.prefix)]
    rows = [[p, (bucket / p).stat().st_size, f'"{tag((bucket / p).read_bytes())}"'] for p in found]
    print(json.dumps(rows or None))


def head_object(args: argparse.Namespace) -> None:
    assert (args.part_number, args.output) == ("1", "json")
    size = (ROOT / args.bucket / args.key).stat().st_size
    print(json.dumps({"ContentLength": min(size, PIECE), "PartsCount": -(-size // PIECE)}))


def copy(args: argparse.Namespace) -> list[Path]:
    source = local(args.source)
    if args.recursive:
        paths = [one for one in files(source) if not any(fnmatch.fnmatch(one, e) for e in args.exclude or [])]
        for path in paths:
            put(source / path, f"{args.destination}/{path}")
        return [source / path for path in paths]
    if not source.is_file():
        print("download failed: Not Found", file=sys.stderr)
        sys.exit(1)
    if args.destination == "-":
        sys.stdout.buffer.write(source.read_bytes())
    else:
        put(source, args.destination)
    return [source]


def move(args: argparse.Namespace) -> None:
    for one in copy(args):
        one.unlink()


def remove(args: argparse.Namespace) -> None:
    place = local(args.url)
    if args.recursive:
        shutil.rmtree(place, ignore_errors=True)
    else:
        place.unlink(missing_ok=True)


def main() -> None:
    assert os.environ["AWS_PAGER"] == ""
    parser = argparse.ArgumentParser(allow_abbrev=False)
    services = parser.add_subparsers(required=True)
    s3 = services.add_parser("s3", allow_abbrev=False).add_subparsers(required=True)
    for verb, do in (("cp", copy), ("mv", move)):
        one = s3.add_parser(verb, allow_abbrev=False)
        one.add_argument("source")
        one.add_argument("destination")
        one.add_argument("--recursive", action="store_true")
        one.add_argument("--exclude", action="append")
        one.add_argument("--only-show-errors", action="store_true", required=True)
        one.add_argument("--no-progress", action="store_true")
        one.set_defaults(do=do)
    one = s3.add_parser("rm", allow_abbrev=False)
    one.add_argument("url")
    one.add_argument("--recursive", action="store_true")
    one.add_argument("--only-show-errors", action="store_true", required=True)
    one.set_defaults(do=remove)
    api = services.add_parser("s3api", allow_abbrev=False).add_subparsers(required=True)
    for verb, do, names in (
        ("list-objects-v2", list_objects, ("bucket", "prefix", "output", "query")),
        ("head-object", head_object, ("bucket", "key", "part-number", "output")),
    ):
        one = api.add_parser(verb, allow_abbrev=False)
        for name in names:
            one.add_argument(f"--{name}", required=True)
        one.set_defaults(do=do)
    args = parser.parse_args()
    args.do(args)


main()
