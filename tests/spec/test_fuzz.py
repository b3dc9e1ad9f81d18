"""Random damage to good files, and the YAML project's own test files.

CI does 2,000 files; `make fuzz N=100000` does as many as it is told, from seeds that differ. With
`YAML_TEST_SUITE` naming a checkout of the public yaml-test-suite (its branch `data`), that is read too.
"""

from __future__ import annotations

import os
import random
import time
from pathlib import Path

import pytest

from launcher.errors import JobFileError

PIECES = [
    *":,[]{}'\"|>@`~$0 é😀：，“\\\t\n\r\0\x85\u2028\ufeff\u00a0\ud800",
    *(
        ": ",
        " #",
        "\n  ",
        "- ",
        "? ",
        "&a ",
        "*a",
        "!x ",
        "!!str ",
        "<<: ",
        "---\n",
        "...\n",
        "%YAML 1.1\n",
        "\r\n",
    ),
    *("\\x", '"\\ud800"', '"\\UFFFFFFFF"', '"\\q"', "run: x\n", "[[[[[[[["),
    *("-1", "GB", "null", "none", "any", "1e999", "A100", "=="),
]


def damaged(chance, text):
    for _ in range(chance.randint(1, 6)):
        at, other = chance.randrange(len(text) + 1), chance.randrange(len(text) + 1)
        kind = chance.random()
        if kind < 0.5:
            text = text[:at] + chance.choice(PIECES) + text[at:]
        elif kind < 0.75:
            text = text[:at] + text[at + chance.randint(1, 8) :]
        else:
            text = text[:at] + text[min(at, other) : max(at, other)] + text[at:]
    return text[:4000]


FILES = int(os.environ.get("COLAB_RUN_FUZZ", "2000"))
LONGEST_S = 1.0


def test_damaged_files_load_or_have_problems(reader, repository):
    """Whatever is done to a file, it gives a JobSpec or problems, in time, with libyaml and without it."""
    files = sorted((repository / "tests/assets/spec/good").glob("*.yaml"))
    seeds = [file.read_bytes().decode("utf-8-sig") for file in files]
    for number in range(FILES):
        chance = random.Random(number)
        data = damaged(chance, chance.choice(seeds)).encode("utf-8", "surrogatepass")
        answers = []
        for pure_python in (False, True):
            began = time.process_time()
            try:
                answers.append(reader.job(data, pure_python=pure_python))
            except JobFileError as error:
                assert error.problems
                answers.append(error.problems)
            assert time.process_time() - began < LONGEST_S, number
        assert answers[0] == answers[1], number


def test_the_public_test_suite_is_read_or_refused(reader):
    """Every example of the YAML project gives a JobSpec or problems, and no traceback."""
    suite = os.environ.get("YAML_TEST_SUITE")
    if not suite:
        pytest.skip("YAML_TEST_SUITE does not name a checkout of yaml-test-suite")
    files = sorted(Path(suite).rglob("in.yaml"))
    assert len(files) > 300, f"{suite} holds no in.yaml files: its branch `data` does"
    for file in files:
        for pure_python in (False, True):
            try:
                reader.job(file.read_bytes(), pure_python=pure_python)
            except JobFileError as error:
                assert error.problems, file


def test_random_bytes_are_refused(reader):
    """Bytes that were never a text are refused, not crashed upon."""
    for number in range(200):
        assert reader.problems(random.Random(number).randbytes(200))
