"""Random damage to good files."""

from __future__ import annotations

import random

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


def test_damaged_files_load_or_have_problems(reader, repository):
    """Whatever is done to a file, it gives a JobSpec or problems, the same with and without libyaml."""
    files = sorted((repository / "tests/assets/spec/good").glob("*.yaml"))
    seeds = [file.read_bytes().decode("utf-8-sig") for file in files]
    for number in range(2000):
        chance = random.Random(number)
        data = damaged(chance, chance.choice(seeds)).encode("utf-8", "surrogatepass")
        answers = []
        for pure_python in (False, True):
            try:
                answers.append(reader.job(data, pure_python=pure_python))
            except JobFileError as error:
                assert error.problems
                answers.append(error.problems)
        assert answers[0] == answers[1], number


def test_random_bytes_are_refused(reader):
    """Bytes that were never a text are refused, not crashed upon."""
    for number in range(200):
        assert reader.problems(random.Random(number).randbytes(200))
