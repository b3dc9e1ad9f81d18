"""`catalog`, `rates`, `check --on` and `--balance` as a person types them."""

from __future__ import annotations

import csv
import importlib.util
import io
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

from helpers.cli import command
from launcher.report.lines import columns

JOB = "resources: {gpu: A100, ram: 50GB, disk: 30GB}\nrun: python train.py\nmax_duration: 6h\n"
KEYS = {"cpu", "cpu-highram", "t4", "t4-highram", "l4", "a100-40", "a100-80", "g4", "h100", "v5e-1", "v6e-1"}


NO_SOURCE = {"unknown": "no-source"}


class Said(NamedTuple):
    code: int
    out: str
    err: str


Type = "Callable[..., Said]"


def environment(folder: Path, **more: str) -> dict[str, str]:
    found = importlib.util.find_spec("launcher")
    assert found is not None
    assert found.origin is not None
    ours = ("COLAB_", "TBE_", "KAGGLE_", "SLURM_", "JPY_", "XDG_")
    return {
        **{name: value for name, value in os.environ.items() if not name.startswith(ours)},
        "PYTHONPATH": str(Path(found.origin).parents[1]),
        "XDG_CONFIG_HOME": str(folder / "config"),
        "COLAB_RUN_HOME": str(folder / "home"),
        **more,
    }


@pytest.fixture
def typed(tmp_path: Path) -> Type:
    (tmp_path / "job.yaml").write_text(JOB, encoding="utf-8")

    def run(*words: str, **more: str) -> Said:
        done = subprocess.run(
            [*command(), *words],
            cwd=tmp_path,
            env=environment(tmp_path, **more),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        return Said(done.returncode, done.stdout, done.stderr)

    return run


# --- catalog --------------------------------------------------------------------------------------


def test_the_table_has_every_runtime_and_fits(typed: Type) -> None:
    """All of them, cheapest first, what is not known last, in 80 columns."""
    said = typed("catalog")
    assert said.code == 0, said.err
    lines = said.out.splitlines()
    rows = [line.split()[0] for line in lines[1 : lines.index("")]]
    assert set(rows) == KEYS
    assert (rows[0], rows[-1]) == ("cpu", "cpu-highram")
    assert max(map(columns, lines)) <= 80
    assert "v100" not in said.out
    assert "v100" in typed("catalog", "--all").out


def test_hours_of_a_balance_fit_too(typed: Type) -> None:
    """The line of the issue, and a column."""
    said = typed("catalog", "--balance", "87")
    assert "A100 16.1 h · L4 50.9 h · T4 81.3 h" in said.out
    assert "Units expire 90 days" in said.out
    assert max(map(columns, said.out.splitlines())) <= 80


def test_only_what_a_job_fits_on(typed: Type) -> None:
    """Cheapest first; what is not known to do is named as such."""
    said = typed("catalog", "--fits", "job.yaml")
    lines = said.out.splitlines()
    assert [line.split()[0] for line in lines[1:3]] == ["a100-40", "a100-80"]
    assert (lines[3], lines[4].split()[0]) == ("not known, may fit:", "h100")
    assert "job.yaml fits on a100-40, a100-80." in said.out
    assert "It may fit on h100 (RAM, disk not known)." in said.out


def test_a_job_that_fits_nowhere(typed: Type, tmp_path: Path) -> None:
    """Said, without a table."""
    (tmp_path / "huge.yaml").write_text("resources: {gpu: H200}\nrun: x\n")
    said = typed("catalog", "--fits", "huge.yaml")
    assert (said.code, said.err) == (0, "")
    assert said.out == "No runtime of the catalogue would do for huge.yaml.\n"


def test_json_and_csv_say_the_same(typed: Type) -> None:
    """Bytes and figures; what is not known says so, or is an empty cell; null is what is not there."""
    document = json.loads(typed("catalog", "--json", "--balance", "54").out)
    rows = {row["runtime"]: row for row in document["runtimes"]}
    assert set(rows) == KEYS
    assert (rows["a100-40"]["hours"], rows["h100"]["ram_bytes"]) == (10.0, NO_SOURCE)
    assert rows["l4"]["checked"] == "2026-03-10"
    assert (rows["cpu"]["gpu"], rows["cpu"]["memory_bytes"]) == (None, None)
    assert (rows["cpu-highram"]["units_per_hour"], rows["cpu-highram"]["hours"]) == (NO_SOURCE, NO_SOURCE)
    assert {key for key, row in rows.items() if row["may_have_changed"]} >= {"h100", "t4-highram", "v5e-1"}
    assert not rows["cpu-highram"]["may_have_changed"]  # it has no rate
    table = {row["runtime"]: row for row in csv.DictReader(io.StringIO(typed("catalog", "--csv").out))}
    assert set(table) == KEYS
    assert (table["h100"]["ram_bytes"], table["t4"]["units_per_hour"]) == ("", "1.07")
    assert typed("catalog", "--csv", "--json").code == 64


# --- rates ----------------------------------------------------------------------------------------


def test_a_recorded_rate_is_used_everywhere(typed: Type) -> None:
    """In the list, in the catalogue, and in the advice, with today's date."""
    assert "no rates" in typed("rates").out
    said = typed("rates", "set", "a100-40", "4.99")
    assert said.code == 0, said.err
    assert "A100: 4.99 units/hour" in said.out
    assert "4.99" in typed("rates").out
    assert json.loads(typed("rates", "--json").out)["rates"][0]["units_per_hour"] == 4.99
    table = typed("catalog").out
    assert "4.99" in table
    assert "* is a rate that you recorded." in table
    assert "about 4.99 units/hour" in typed("check", "job.yaml", "--on", "t4").out


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (("set",), "colab-run rates set a100-40 5.40"),
        (("set", "t4"), "colab-run rates set a100-40 5.40"),
        (("show",), "colab-run rates set a100-40 5.40"),
        (("set", "t5", "1"), "use t4"),
        (("set", "t4", "0"), "as in colab-run rates set"),
        (("set", "t4", "nan"), "as in colab-run rates set"),
        (("set", "t4", "-1"), ""),
    ],
)
def test_a_rate_that_cannot_be_recorded(
    typed: Type, tmp_path: Path, words: tuple[str, ...], hint: str
) -> None:
    """64, what to write instead, and no file."""
    said = typed("rates", *words)
    assert (said.code, said.out) == (64, "")
    assert hint in " ".join(said.err.split())
    assert not (tmp_path / "config").exists()


def test_a_slip_in_the_rates_stops_a_check_but_no_release(typed: Type, tmp_path: Path) -> None:
    """The file is named; handing a runtime back never depends on it."""
    file = tmp_path / "config" / "colab-run" / "rates.yaml"
    file.parent.mkdir(parents=True)
    file.write_text("colab: {t4: {units: cheap, checked: 2026-11-22}}\n")
    said = typed("check", "job.yaml")
    assert said.code == 64
    assert "rates.yaml" in said.err
    assert typed("release").code == 0


# --- check --on, --balance, COLAB_RUN_PLAN ------------------------------------------------------------


@pytest.mark.parametrize(("row", "code"), [("a100-40", 0), ("A100-80", 0), ("t4", 69), ("h100", 69)])
def test_a_row_is_judged_like_a_machine(typed: Type, row: str, code: int) -> None:
    """0 met, 69 short or not known."""
    assert typed("check", "job.yaml", "--on", row).code == code


def test_a_row_that_there_is_not(typed: Type) -> None:
    """64, with the nearest."""
    said = typed("check", "job.yaml", "--on", "a100")
    assert said.code == 64
    assert "use one of: a100-40, a100-80" in said.err
    document = json.loads(typed("check", "job.yaml", "--on", "a100", "--json").out)
    assert (document["verdict"], document["exit_code"]) == (None, 64)


def test_json_of_a_row(typed: Type) -> None:
    """The advice for a script, with a few alternatives or with all."""
    document = json.loads(typed("check", "job.yaml", "--on", "t4", "--balance", "87", "--json").out)
    assert (document["on"], document["verdict"]) == ("t4", "short")
    advice = document["advice"]
    assert (advice["runtime"], advice["plan"]) == ("a100-40", "paid")
    assert advice["argv"] == ["colab-run", "check", "job.yaml"]
    assert advice["costs_most"] is None
    assert advice["alternatives"][0] == {
        "runtime": "a100-80",
        "units_per_hour": 7.52,
        "text": "A100 80 GB with High-RAM: about 7.52 units/hour "
        "(US$0.75; rate of 2026-03-10, may have changed)",
    }
    assert any("87 units = A100 16.1 h" in hint for hint in document["hints"])
    few = json.loads(typed("check", "job.yaml", "--on", "cpu", "--set", "resources.gpu=any", "--json").out)
    everything = json.loads(
        typed("check", "job.yaml", "--on", "cpu", "--set", "resources.gpu=any", "--all", "--json").out
    )
    assert len(few["advice"]["alternatives"]) == 3
    assert len(everything["advice"]["alternatives"]) > 3


@pytest.mark.parametrize(
    ("plan", "runtime"),
    [
        ("", "t4-highram"),
        ("pro", "t4-highram"),
        ("payg", "l4"),
        ("PRO+", "t4-highram"),
        ("pro plus", "t4-highram"),
        ("proplus", "t4-highram"),
        ("pay-as-you-go", "l4"),
    ],
)
def test_the_plan_decides_what_can_be_had(typed: Type, tmp_path: Path, plan: str, runtime: str) -> None:
    """High-RAM is nothing for who pays as they go."""
    (tmp_path / "ram.yaml").write_text("resources: {gpu: T4, ram: 50GB}\nrun: x\n")
    said = typed("check", "ram.yaml", "--on", "t4", "--json", COLAB_RUN_PLAN=plan)
    assert json.loads(said.out)["advice"]["runtime"] == runtime


def test_an_unsure_row_is_not_the_end(typed: Type) -> None:
    """Of a row that is not known to do, the cheapest that is sure is named."""
    document = json.loads(typed("check", "job.yaml", "--on", "h100", "--json").out)
    assert (document["verdict"], document["on"]) == ("unknown", "h100")
    assert document["advice"]["runtime"] == "a100-40"


def test_what_may_fit_is_not_said_to_fit(typed: Type, tmp_path: Path) -> None:
    """Where no figure of the disk is known the table says so, and so does the document."""
    (tmp_path / "disk.yaml").write_text("resources: {gpu: =L4, disk: 10GB}\nrun: x\n")
    said = typed("catalog", "--fits", "disk.yaml")
    assert "fits on" not in said.out
    assert "It may fit on l4 (disk not known)." in said.out
    (row,) = json.loads(typed("catalog", "--fits", "disk.yaml", "--json").out)["runtimes"]
    assert (row["runtime"], row["fits"], row["uncounted"]) == ("l4", "unknown", ["disk"])


@pytest.mark.parametrize(
    "words",
    [
        ("catalog", "--fits", "nope.yaml", "--json"),
        ("catalog", "--balance=-1", "--json"),
        ("rates", "set", "zz", "1", "--json"),
        ("rates", "show", "--json"),
    ],
)
def test_an_error_is_a_document_too(typed: Type, words: tuple[str, ...]) -> None:
    """On stdout, as `check` does, for who asked for JSON."""
    said = typed(*words)
    document = json.loads(said.out)
    assert (said.code, document["schema_version"], document["exit_code"]) == (64, 1, 64)
    assert document["error"]
    assert "verdict" not in document


@pytest.mark.parametrize("balance", ["-1", "nan", "inf", "many", ""])
def test_a_balance_that_cannot_be_one(typed: Type, balance: str) -> None:
    """64, on each command that takes it."""
    for words in (("check", "job.yaml"), ("catalog",), ("run", "job.yaml")):
        said = typed(*words, f"--balance={balance}")
        assert said.code == 64, words
        assert "is not a valid balance" in said.err


def test_a_plan_that_there_is_not(typed: Type) -> None:
    """64, with the nearest."""
    said = typed("check", "job.yaml", COLAB_RUN_PLAN="por")
    assert said.code == 64
    assert "use pro" in said.err
    said = typed("check", "job.yaml", COLAB_RUN_PLAN="enterprise")
    assert said.code == 64
    assert "use one of: free, payg, pro, pro+" in " ".join(said.err.split())


# --- other systems ----------------------------------------------------------------------------------

# A Python without what only Unix has, as on Windows.
ELSEWHERE = """
import os, sys
for name in ("fcntl", "termios", "pty", "tty", "resource", "pwd", "grp"):
    sys.modules[name] = None
for name in ("fork", "statvfs", "O_NONBLOCK", "O_CLOEXEC", "getuid", "geteuid", "killpg", "setsid"):
    if hasattr(os, name):
        delattr(os, name)
from launcher.cli.main import dispatch
sys.exit(dispatch(sys.argv[1:]))
"""


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("catalog",), 0),
        (("catalog", "--fits", "job.yaml", "--json"), 0),
        (("check", "job.yaml", "--on", "a100-40"), 0),
        (("check", "job.yaml", "--on", "t4", "--json"), 69),
        (("check", "job.yaml", "--on", "zzz"), 64),
        (("rates", "set", "t4", "1.1"), 0),
    ],
)
def test_tables_need_no_unix(tmp_path: Path, words: tuple[str, ...], code: int) -> None:
    """What only looks at tables imports nothing that Windows lacks."""
    (tmp_path / "job.yaml").write_text(JOB, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-c", ELSEWHERE, *words],
        cwd=tmp_path,
        env=environment(tmp_path),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
