"""The real AWS CLI against a real server on this machine, where both are installed: moto's."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
import urllib.request
from typing import TYPE_CHECKING

import pytest

from launcher.saving.meter import Meter
from launcher.saving.model import Order, parse_target
from launcher.saving.remote.engine import restore_remote, save_remote

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def s3(tmp_path: Path) -> Iterator[dict[str, str]]:
    """The environment of an AWS CLI that knows only the server of this test, with a bucket."""
    if not (shutil.which("aws") and shutil.which("moto_server")):
        pytest.skip("the AWS CLI or moto is not installed")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    server = subprocess.Popen(
        ["moto_server", "-H", "127.0.0.1", "-p", str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    url = f"http://127.0.0.1:{port}"
    try:
        deadline = time.monotonic() + 60
        while True:
            try:
                urllib.request.urlopen(
                    urllib.request.Request(f"{url}/bucket", method="PUT"), timeout=5
                ).close()
                break
            except OSError:
                assert server.poll() is None, "the server ended"
                assert time.monotonic() < deadline, "the server does not answer"
                time.sleep(0.1)
        yield {
            "PATH": os.environ["PATH"],
            "HOME": str(tmp_path),
            "TMPDIR": str(tmp_path),
            "AWS_ENDPOINT_URL": url,
            "AWS_ACCESS_KEY_ID": "x",
            "AWS_SECRET_ACCESS_KEY": "x",
            "AWS_DEFAULT_REGION": "us-east-1",
        }
    finally:
        server.kill()
        server.wait()


def test_the_real_aws_saves_and_restores(s3: dict[str, str], tmp_path: Path) -> None:
    """A file in pieces, odd names, a second save, and back: by checksums alone."""
    source = tmp_path / "work" / "out"
    (source / "deep").mkdir(parents=True)
    (source / "large").write_bytes(os.urandom(20_000_000))
    for name in ("plain", "deep/a b", "漢字", "[1]*?.txt", "-dash", 'it\'s "q" $x'):
        (source / name).write_text(name)
    target = parse_target("s3://bucket/base", "/")
    order = Order(str(source), target, "out", "run1", "story")
    report = save_remote(order, Meter(), s3)
    assert (report.failures, report.committed, report.verified) == ([], True, "checksum")
    (source / "-dash").unlink()
    assert save_remote(order, Meter(), s3).copied == 0
    back = tmp_path / "next" / "out"
    restored = restore_remote(Order(str(back), target, "out", "run2", "story"), Meter(), s3)
    assert (restored.complete, restored.failures) == (True, [])
    assert {one.name: one.read_bytes() for one in back.rglob("*") if one.is_file()} == {
        one.name: one.read_bytes() for one in source.rglob("*") if one.is_file()
    }
