"""What the tests of the job file share: the reader with a fixed catalogue, and the asset files."""

from __future__ import annotations

from pathlib import Path

import pytest

from launcher.errors import JobFileError
from launcher.spec.schema import read_job

REPOSITORY = Path(__file__).parents[2]
ASSETS = REPOSITORY / "tests" / "assets" / "spec"
CLASSES = (
    "T4",
    "L4",
    "A10",
    "A100",
    "A100-40GB",
    "A100-80GB",
    "H100",
    "H200",
    "B200",
    "G4",
    "V100",
    "P100",
    "RTX 4090",
)


class Reader:
    """read_job with a catalogue that no other change moves."""

    classes = CLASSES

    def job(self, text, *overrides, source="job.yaml", folder="/srv/project", pure_python=False):
        data = text if isinstance(text, bytes) else text.encode()
        return read_job(
            data, source=source, folder=folder, overrides=overrides, classes=CLASSES, pure_python=pure_python
        )

    def problems(self, text, *overrides, **options):
        """All problems; none when the file loads."""
        try:
            self.job(text, *overrides, **options)
        except JobFileError as error:
            return list(error.problems)
        return []

    def codes(self, text, *overrides, **options):
        """`line:column CODE` of every problem, in order."""
        return [f"{p.line}:{p.column} {p.code.value}" for p in self.problems(text, *overrides, **options)]


@pytest.fixture(scope="session")
def reader():
    return Reader()


@pytest.fixture(scope="session")
def repository():
    return REPOSITORY


def pytest_generate_tests(metafunc):
    for name in ("bad", "good"):
        if f"{name}_file" in metafunc.fixturenames:
            files = sorted((ASSETS / name).glob("*.yaml"))
            metafunc.parametrize(f"{name}_file", files, ids=[file.stem for file in files])
