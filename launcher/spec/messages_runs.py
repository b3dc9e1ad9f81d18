"""The words for problems of how often, at what cost and under which conditions: rows of messages.py."""

from __future__ import annotations

from launcher.spec.problems import ProblemCode as Code
from launcher.spec.wording import Wording
from launcher.words import words

RUNS: dict[str, Wording] = {
    "package": Wording(
        Code.BAD_TEXT, words("`{found}` is no requirement of a package"), words("write it as in `torch>=2.4`")
    ),
    "host": Wording(
        Code.BAD_TEXT,
        words("`{found}` is no host"),
        words("write it as in `huggingface.co` or `db.example.org:5432`"),
    ),
    "matrix-key": Wording(
        Code.UNKNOWN_KEY,
        words("`{found}` cannot be a parameter"),
        words("name a key as for `--set`, such as `env.LR` or `resources.gpu`"),
    ),
    "matrix-twice": Wording(
        Code.DUPLICATE_KEY, words("`{found}` is in the list already"), words("write it once")
    ),
    "matrix-empty": Wording(
        Code.MISSING_KEY, words("no parameter"), words("write one, as in `env.LR: [0.1, 0.01]`")
    ),
    "matrix-large": Wording(
        Code.OUT_OF_RANGE, words("{found} runs"), words("write at most {most} combinations")
    ),
    "rate-without-usd": Wording(
        Code.MISSING_KEY, words("a rate without an amount"), words("write it too, as in `usd: 4`")
    ),
}
