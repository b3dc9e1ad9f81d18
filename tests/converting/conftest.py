"""What the tests of conversions share: a file in, the job and what was left out."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from helpers.catalogs import shipped
from launcher.converting.detect import convert
from launcher.converting.writing import ordered, settle, write_job
from launcher.i18n import speaker
from launcher.spec.schema import read_job
from launcher.words import english

if TYPE_CHECKING:
    from launcher.converting.model import Left

ASSETS = Path(__file__).parents[1] / "assets" / "converting"


@dataclass(frozen=True)
class Converted:
    """`spec` is what the written text reads as."""

    kind: str
    text: str
    spec: Any
    left: list[Left]

    @property
    def listed(self) -> dict[int, list[str]]:
        """What was left, by its line."""
        found: dict[int, list[str]] = {}
        for one in self.left:
            found.setdefault(one.line, []).append(one.what)
        return found


class Converter:
    """`convert` with the shipped catalogue, and only `src` for a folder."""

    classes = tuple(shipped().accepted_names())

    def __call__(self, text: str | bytes, name: str, *, language: str = "en") -> Converted:
        data = text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass")
        kind, draft = convert(data, name, self.classes, lambda path: path in (".", "src"))
        settle(draft, source=name, folder="/srv", classes=self.classes, plain=english)
        written = write_job(
            draft,
            source=name,
            schema="job.schema.json",
            again="colab-run check job.yaml",
            examples=False,
            translate=speaker(language),
        )
        spec = read_job(written.encode(), source="job.yaml", folder="/srv", classes=self.classes)
        return Converted(kind, written, spec, ordered(draft))

    def sbatch(self, *options: str, body: str = "python train.py") -> Converted:
        """A script of these options, from line 2 on."""
        # The last one changes nothing, and makes it a file of sbatch.
        lines = [
            "#!/bin/bash",
            *(f"#SBATCH {option}" for option in options),
            "#SBATCH --export=ALL",
            body,
            "",
        ]
        return self("\n".join(lines) + "\n", "job.sbatch")


@pytest.fixture(scope="session")
def converter() -> Converter:
    return Converter()


@pytest.fixture(scope="session")
def assets() -> Path:
    return ASSETS
