"""The pages name what there is: options, exit codes, fields, reasons; their links lead somewhere."""

from __future__ import annotations

import ast
import importlib.util
import json
import os
import re
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from helpers.catalogs import shipped
from helpers.cli import command
from launcher.errors import ExitCode
from launcher.release.interface import ReleaseStatus
from launcher.spec.schema import read_job
from launcher.verdict.model import FindingCode

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[2]
README = ROOT / "README.md"
PAGES = [README, *sorted((ROOT / "docs").glob("*.md"))]
CONTRACT = ROOT / "docs" / "exit-codes-and-json.md"
COMMANDS = (
    *("run", "exec", "check", "ps", "logs", "attach", "stop", "wait", "save", "history"),
    *("probe", "keep", "beat", "watch", "release", "catalog", "rates", "explain", "doctor"),
    *("init", "schema"),
)


def text_of(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def colab_run(*words: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("COLAB_", "TBE_"))}
    found = importlib.util.find_spec("launcher")
    assert found is not None
    assert found.origin is not None
    return subprocess.run(
        [*command(), *words],
        cwd=cwd,
        env={
            **kept,
            "PYTHONPATH": str(Path(found.origin).parents[1]),
            "COLAB_RUN_HOME": str(cwd / "home"),
            "COLUMNS": "80",
        },
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


# --- links ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_relative_links_lead_to_files(page: Path) -> None:
    """Every link that is not an address is a file of the repository, and its anchor a heading there."""
    prose = re.sub(r"```.*?```", "", text_of(page), flags=re.DOTALL)
    for link in re.findall(r"\]\(([^)\s]+)\)", prose):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = page.parent / path if path else page
        assert target.is_file(), f"{page.name}: {link}"
        if anchor:
            headings = re.findall(r"(?m)^#+ (.*)$", text_of(target))
            anchors = {re.sub(r"[^\w -]", "", head.lower()).replace(" ", "-") for head in headings}
            assert anchor in anchors, f"{page.name}: {link}"


# --- the command line -----------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["", *COMMANDS])
def test_every_option_is_named(name: str, tmp_path: Path) -> None:
    """What `--help` offers stands in a page outside of the help screens too."""
    done = colab_run(*([name] if name else []), "--help", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    options = set(re.findall(r"(?m)^\s+(?:-\w, )?(--[a-z][a-z-]+)", done.stdout)) - {"--help"}
    assert options
    pages = "".join(text_of(page) for page in PAGES)
    prose = re.sub(r"<!-- screen: help.*?```.*?```", "", pages, flags=re.DOTALL)
    missing = [word for word in options if not re.search(rf"{word}(?![a-z-])", prose)]
    assert not missing
    if name:
        assert f"`colab-run {name}" in prose


def test_no_command_is_missing_from_the_readme(tmp_path: Path) -> None:
    """A new command is a new row of the table."""
    shown = colab_run("--help", cwd=tmp_path).stdout.partition("Commands:")[2]
    listed = re.findall(r"(?m)^\s{1,4}([a-z]+)\s", shown)
    assert set(listed) == set(COMMANDS)
    readme = text_of(README)
    assert all(f"`colab-run {name}" in readme for name in COMMANDS)


# --- exit codes -----------------------------------------------------------------------------------


@pytest.mark.parametrize("page", [README, CONTRACT], ids=lambda page: page.name)
def test_every_exit_code_stands_in_the_table(page: Path) -> None:
    """Codes of launcher/errors.py, each in the first column of a row."""
    first = " ".join(re.findall(r"(?m)^\| ([0-9][0-9, to]*) \|", text_of(page)))
    numbers = {int(number) for number in re.findall(r"[0-9]+", first)}
    assert {int(code) for code in ExitCode} <= numbers


# --- the job file ---------------------------------------------------------------------------------


def yaml_blocks(page: Path) -> Iterator[str]:
    yield from re.findall(r"<!-- job file -->\n```yaml\n(.*?)```", text_of(page), flags=re.DOTALL)


def test_readme_job_file_can_be_read() -> None:
    """The job file that people copy has no problem, and says what the comments say."""
    (block,) = yaml_blocks(README)
    assert len(block.splitlines()) <= 12
    spec = read_job(
        block.encode(), source="job.yaml", folder="/content", overrides=(), classes=shipped().class_names()
    )
    assert spec.name == "finetune"
    assert spec.resources.ram_bytes == 50 * 10**9
    assert spec.outputs[0].to == "/content/drive/MyDrive/finetune"


def test_manual_check_job_files_can_be_read() -> None:
    """What the check by hand writes on Colab is read without a problem."""
    files = re.findall(
        r"%%writefile \S+\n(.*?)```", text_of(ROOT / "docs" / "colab-manual-check.md"), re.DOTALL
    )
    assert len(files) == 2
    for block in files:
        read_job(
            block.encode(),
            source="job.yaml",
            folder="/content",
            overrides=(),
            classes=shipped().class_names(),
        )


# --- JSON -----------------------------------------------------------------------------------------


def keys(document: Any) -> Iterator[str]:
    if isinstance(document, dict):
        for key, value in document.items():
            yield key
            yield from keys(value)
    elif isinstance(document, list):
        for row in document:
            yield from keys(row)


JOB = "resources: {ram: 1MB}\nrun: mkdir -p out; echo x > out/x\noutputs: [{path: out, to: to}]\n"


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("run", "job.yaml", "--json"), 0),
        (("run", "short.yaml", "--json"), 69),
        (("run", "bad.yaml", "--json"), 65),
        (("run", "absent.yaml", "--json"), 64),
        (("check", "job.yaml", "--json"), 0),
        (("check", "short.yaml", "--json"), 69),
        (("check", "bad.yaml", "--json"), 65),
        (("probe", "--json"), 0),
        (("release", "--json"), 0),
        (("ps", "--json"), 0),
        (("logs", "nosuch", "--json"), 64),
        (("stop", "nosuch", "--json"), 64),
        (("wait", "nosuch", "--json"), 64),
        (("keep", "1s", "--json"), 0),
        (("keep", "--drop", "--json"), 0),
        (("beat", "--json"), 0),
        (("watch", "--why", "--json"), 0),
        (("watch", "--status", "--json"), 0),
        (("watch", "--stop", "--json"), 0),
        (("watch", "--idle", "30m", "--json"), 69),
    ],
)
def test_every_field_is_described(words: tuple[str, ...], code: int, tmp_path: Path) -> None:
    """No field of any document is missing from the page, however deep it lies."""
    (tmp_path / "job.yaml").write_text(JOB, encoding="utf-8")
    (tmp_path / "short.yaml").write_text(JOB.replace("1MB", "900TB"), encoding="utf-8")
    (tmp_path / "bad.yaml").write_text("rum: true\n", encoding="utf-8")
    done = colab_run(*words, cwd=tmp_path)
    assert done.returncode == code, done.stderr
    described = set(re.findall(r"`([a-z0-9_]+)`", text_of(CONTRACT)))
    found = set(keys(json.loads(done.stdout))) - {"unknown", "processes"}
    assert found - described == set()


def test_every_field_about_a_run_is_described(tmp_path: Path) -> None:
    """A run that is over, asked for in every way."""
    (tmp_path / "job.yaml").write_text(JOB, encoding="utf-8")
    assert colab_run("run", "job.yaml", cwd=tmp_path).returncode == 0
    (run_id,) = (path.name for path in (tmp_path / "home" / "runs").iterdir())
    described = set(re.findall(r"`([a-z0-9_]+)`", text_of(CONTRACT)))
    for words in (("ps",), ("logs", run_id), ("stop", run_id), ("wait", run_id)):
        done = colab_run(*words, "--json", cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        assert set(keys(json.loads(done.stdout))) - {"unknown", "processes"} - described == set()


def reasons_in_the_code(package: Path) -> set[tuple[str, str]]:
    """(status, reason) of a release as they are written in the source, constants looked up."""
    trees = [ast.parse(path.read_text(encoding="utf-8")) for path in package.rglob("*.py")]
    nodes = [node for tree in trees for node in ast.walk(tree)]
    named = {
        target.id: node.value.value
        for node in nodes
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant)
        for target in node.targets
        if isinstance(target, ast.Name) and isinstance(node.value.value, str)
    }

    def texts(node: ast.expr | None) -> set[str]:
        if isinstance(node, ast.IfExp):
            return texts(node.body) | texts(node.orelse)
        if isinstance(node, ast.Name):
            return {named[node.id]} if node.id in named else set()
        return {node.value} if isinstance(node, ast.Constant) and isinstance(node.value, str) else set()

    found: set[tuple[str, str]] = set()
    for node in nodes:
        if isinstance(node, ast.Call):
            for at, argument in enumerate(node.args):
                if not re.match(r"ReleaseStatus\.[A-Z_]+$", ast.unparse(argument)):
                    continue
                status = ReleaseStatus[ast.unparse(argument).rpartition(".")[2]].value
                beside = node.args[at + 1 : at + 2] if at == 0 else node.args[at - 1 : at]
                found |= {(status, text) for other in beside for text in texts(other)}
            if getattr(node.func, "id", "") == "when_idle":
                found |= {("held", text) for other in node.args[:1] for text in texts(other)}
            refused = not any(word.arg == "accepted" for word in node.keywords)
            if refused and getattr(node.func, "id", "") == "Answer":
                found |= {("failed", text) for other in node.args[1:2] for text in texts(other)}
        if isinstance(node, ast.FunctionDef) and node.name in ("hopeless", "speaks_against"):
            status = "failed" if node.name == "hopeless" else "held"
            for inner in ast.walk(node):
                value = inner.value if isinstance(inner, ast.Return) else None
                choices = [value.body, value.orelse] if isinstance(value, ast.IfExp) else [value]
                firsts = [one.elts[0] if isinstance(one, ast.Tuple) else one for one in choices]
                found |= {(status, text) for first in firsts for text in texts(first) if text}
    return found


# Made of what a server, a program or the system says, or chosen between two: not written as one.
MADE = {
    *(("failed", name) for name in ("http-503", "exit-N", "signal-N", "connection-refused", "no-such-host")),
    *(("failed", name) for name in ("no-route", "timeout", "failed", "not-listed", "still-here")),
    ("accepted", "ended-by-person"),
    ("kept", "ended-by-person"),
}


def test_every_status_and_reason_of_a_release_is_described() -> None:
    """The table of the page is what the source says: each reason in the row of its status, and no other."""
    import launcher.release.interface as somewhere

    # What an answer is before there is one: nothing fails before it was asked for.
    in_code = reasons_in_the_code(Path(somewhere.__file__).parents[1]) - {("failed", "not-sent")}
    assert len(in_code) > 30
    rows = re.findall(r"(?m)^\| `([a-z-]+)` \| (.*) \|$", text_of(CONTRACT).partition("## release:")[2])
    statuses = {status.value for status in ReleaseStatus}
    of_release = [(status, text) for status, text in rows if status in statuses]
    assert {status for status, _ in of_release} == statuses
    in_page = {
        (status, reason)
        for status, text in of_release
        for reason in re.findall(r"(?:^|· |: |\. )`([a-zA-Z0-9-]+)`", text)
    }
    assert in_code | MADE == in_page


def test_every_code_of_a_finding_is_described() -> None:
    """CR1xx: all of them."""
    page = text_of(CONTRACT)
    assert [code.value for code in FindingCode if code.value not in page] == []


# --- what must not stand in a page ----------------------------------------------------------------


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_page_has_no_path_of_a_developers_machine(page: Path) -> None:
    """Screens are shown as on Colab; the folders of ours that have a fixed place may be named."""
    assert not re.findall(r"/tmp/(?!colab-run[.-])|/home/[a-z]", text_of(page))
