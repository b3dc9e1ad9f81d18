"""Produce every screen that README.md, docs/ and tests/assets/screens show, by running.

    python tests/docs/screens.py            # say which are out of date
    python tests/docs/screens.py --write    # write them

In Markdown a screen is the fence that follows `<!-- screen: NAME -->`.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

TESTS = Path(__file__).resolve().parents[1]
ROOT = TESTS.parent
if __name__ == "__main__":
    sys.path.insert(0, str(TESTS))
    sys.path.append(str(ROOT))  # what is installed comes first

from helpers.cli import command  # noqa: E402 - as a program this file finds it by the line above
from helpers.screens import LANGUAGES, SCENES, T4_RUNTIME, asset, plain, refused, scene  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ASSETS = TESTS / "assets" / "screens"
PAGES = (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
BLOCK = re.compile(r"<!-- screen: ([a-z-]+) -->\n```\w*\n(.*?)```\n", re.DOTALL)

HELLO = """\
name: hello
resources: {ram: 1GB, disk: 100MB}
run: |
  mkdir -p results
  for epoch in 1 2 3; do echo "epoch $epoch"; sleep 0.2; done
  echo trained > results/model.txt
outputs:
  - {path: results, to: output}
max_duration: 10m
"""

# What differs from run to run, and what it becomes.
NORMAL = (
    (re.compile(r"\b[0-9]{8}-[0-9]{6}-[0-9a-f]{4}\b"), "20261122-114501-3fa2"),  # run id
    (re.compile(r"(?m)^  [0-9.ms ]+, peak RAM .*$"), "  0.6 s, peak RAM 6.2 MB"),  # figures
)


def run(*words: str, cwd: Path | None = None, home: str = "") -> str:
    """Stdout and stderr of `colab-run WORDS`, in the order in which a terminal shows them."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("COLAB_", "TBE_"))}
    for name in ("NO_COLOR", "FORCE_COLOR", "PYTHONUNBUFFERED"):
        kept.pop(name, None)
    from_source = {} if len(command()) == 1 else {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [*command(), *words],
        cwd=cwd,
        env={**kept, **from_source, "COLAB_RUN_HOME": home, "COLUMNS": "80", "TERM": "dumb"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=120,
        check=False,
    )
    return done.stdout


def first_run() -> str:
    """A tiny job, really run."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        work = Path(folder).resolve() / "content"
        work.mkdir()
        (work / "hello.yaml").write_text(HELLO, encoding="utf-8")
        text = run("hello.yaml", cwd=work, home=str(work.parent / "home"))
        text = text.replace(str(work), "/content")
    for pattern, instead in NORMAL:
        text = pattern.sub(instead, text)
    return "$ colab-run hello.yaml\n" + text


# Where the schema lies differs from machine to machine.
SCHEMA = "/usr/lib/python3/dist-packages/launcher/_configs/job.schema.json"
TRAINING = """\
import argparse, pathlib
import torch

def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--lr", type=float, default=3e-4)
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path("checkpoints"))
    train(parser.parse_args())

if __name__ == "__main__":
    main()
"""


def started(what: str) -> str:
    """A first job file, really written: the command's answer, the file, or a conversion."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        work = Path(folder).resolve() / "finetune"
        work.mkdir()
        (work / "train.py").write_text(TRAINING, encoding="utf-8")
        (work / "requirements.txt").write_text("torch\n", encoding="utf-8")
        source = TESTS / "assets" / "converting" / "train.sbatch"
        (work / "train.sbatch").write_bytes(source.read_bytes())
        words = ["init"] if what != "from" else ["init", "--from", "train.sbatch"]
        text = run(*words, cwd=work)
        if what == "file":
            text = (work / "job.yaml").read_text(encoding="utf-8")
            return re.sub(r"schema=\S+", f"schema={SCHEMA}", text)
        return f"$ colab-run {' '.join(words)}\n{text}"


def help_of(*words: str) -> str:
    """What `--help` prints; how it is laid out is typer's affair and differs between its versions."""
    return run(*words, "--help")


SCREENS: dict[str, Callable[[], str]] = {
    "refusal": lambda: "$ colab-run finetune.yaml\n" + plain(refused(T4_RUNTIME)),
    "run": first_run,
    "hello": lambda: HELLO,
    "catalog": lambda: "$ colab-run catalog\n" + plain(SCENES["catalog"]()),
    "watch": lambda: "$ colab-run watch --idle 30m\n" + plain(SCENES["watch-started"]()),
    "watch-status": lambda: "$ colab-run watch --status\n" + plain(SCENES["watch-status"]()),
    "watch-why": lambda: "$ colab-run watch --why\n" + plain(SCENES["watch-why"]()),
    "doctor": lambda: "$ colab-run doctor\n" + plain(SCENES["doctor"]()),
    "doctor-amiss": lambda: "$ colab-run doctor\n" + plain(SCENES["doctor-amiss"]()),
    "ps": lambda: "$ colab-run ps\n" + plain(SCENES["ps"]()),
    **{f"init-{what}": lambda what=what: started(what) for what in ("answer", "file", "from")},
    "help": help_of,
    **{
        f"help-{name}": lambda name=name: help_of(name)
        for name in (
            *("run", "exec", "check", "ps", "logs", "attach", "stop", "wait", "save", "history"),
            *("probe", "keep", "beat", "watch", "release", "catalog", "rates", "explain", "doctor"),
            *("init", "schema"),
        )
    },
}


def shown() -> Iterator[tuple[Path, str, str]]:
    """Every screen in Markdown: the page, the screen's name, the text."""
    for page in PAGES:
        if page.is_file():
            for name, text in BLOCK.findall(page.read_text(encoding="utf-8")):
                yield page, name, text


def write_page(page: Path) -> None:
    """Put fresh screens into one page."""
    text = page.read_text(encoding="utf-8")

    def fresh(match: re.Match[str]) -> str:
        start, end = match.start(2) - match.start(), match.end(2) - match.start()
        return match.group()[:start] + SCREENS[match.group(1)]() + match.group()[end:]

    page.write_text(BLOCK.sub(fresh, text), encoding="utf-8")


def write() -> None:
    """All of them."""
    ASSETS.mkdir(parents=True, exist_ok=True)
    for path in ASSETS.glob("*.txt"):
        path.unlink()
    for name, language in ((name, language) for name in SCENES for language in LANGUAGES):
        (ASSETS / asset(name, language)).write_text(plain(scene(name, language)), encoding="utf-8")
    for page in {page for page, _, _ in shown()}:
        write_page(page)


def main() -> int:
    """Write, or say what differs."""
    if sys.argv[1:] == ["--write"]:
        write()
        return 0
    stale = [f"{page.name}: {name}" for page, name, text in shown() if SCREENS[name]() != text]
    for name, language in ((name, language) for name in SCENES for language in LANGUAGES):
        path = ASSETS / asset(name, language)
        if not path.is_file() or path.read_text("utf-8") != plain(scene(name, language)):
            stale.append(path.name)
    print("\n".join(stale) or "all screens are up to date")
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main())
