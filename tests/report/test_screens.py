"""What people read, compared line by line with plain files. `make screens` writes them anew."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from helpers.catalogs import shipped
from helpers.runtimes import gpu
from helpers.screens import (
    A100_RUNTIME,
    CPU_RUNTIME,
    FINETUNE,
    LANGUAGES,
    NO_DRIVER,
    SCENES,
    T4_RUNTIME,
    asset,
    judged,
    plain,
    refused,
    scene,
)
from launcher.i18n import speaker
from launcher.jobs import Job
from launcher.judging import Here, check_on
from launcher.probes.model import GpuFacts, Platform, PlatformKind
from launcher.report.lines import WIDTH, Paper, columns
from launcher.report.story import say
from launcher.spec.schema import read_job
from launcher.values import Known, Unknown

EXPECTED = Path(__file__).resolve().parents[1] / "assets" / "screens"
LONGEST_REFUSAL = 20
REFUSALS = [name for name in SCENES if name.startswith(("refused", "unknown"))]


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("name", SCENES)
def test_screen_is_what_is_expected(name: str, language: str) -> None:
    """Every screen reads as its file says, to the character, in each language."""
    expected = (EXPECTED / asset(name, language)).read_text(encoding="utf-8")
    assert plain(scene(name, language)) == expected, "on purpose? then: make screens"


def test_no_expectation_is_left_over() -> None:
    """Each file belongs to a screen."""
    names = {asset(name, language) for name in SCENES for language in LANGUAGES}
    assert {path.name for path in EXPECTED.glob("*")} == names


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("name", SCENES)
def test_screen_fits_into_80_columns(name: str, language: str) -> None:
    """A terminal, and Colab's `!`, have 80 columns; a Chinese character takes two."""
    assert not [line.plain for line in scene(name, language) if columns(line.plain) > WIDTH]


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("name", REFUSALS)
def test_refusal_fits_on_a_screen(name: str, language: str) -> None:
    """What is missing, the way on and what it costs, in 20 lines."""
    assert len(scene(name, language)) <= LONGEST_REFUSAL


@pytest.mark.parametrize("name", SCENES)
def test_marks_are_words(name: str) -> None:
    """Without colour nothing is lost: every coloured part is printed as a word or a sign."""
    assert all(line.plain.startswith(line.mark.rstrip()) for line in SCENES[name]())
    assert "\x1b" not in plain(SCENES[name]())


def test_cell_is_told_once_how_to_stop_run_all() -> None:
    """Behind `!` one line more, and only there: it ends with what would have stopped the next cells."""
    alone, in_cell = refused(T4_RUNTIME), refused(T4_RUNTIME, in_cell=True)
    assert in_cell[:-1] == alone
    assert "%shell" in in_cell[-1].plain


UNLISTED = replace(
    T4_RUNTIME,
    gpu=GpuFacts(
        Known((replace(gpu("NVIDIA Z9", "T4", 65536, (9, 9)), class_name=Unknown("unlisted-gpu")),)),
        Known("580.82.07"),
        Known("13.0"),
    ),
)


@pytest.mark.parametrize("language", LANGUAGES)
def test_an_unlisted_gpu_is_shown_with_the_way_out(language: str) -> None:
    """Its name and memory stay in the table, also with Colab's figure behind them; the note is below it."""
    text = plain(refused(UNLISTED, FINETUNE.replace("  ram: 50GB\n", ""), paper=Paper(speaker(language))))
    assert "NVIDIA Z9" in text
    assert "64.0" in text
    assert "{memory: 22GB}" in text


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("facts", [UNLISTED, NO_DRIVER])
def test_a_runtime_without_a_rate_is_not_silent(facts, language: str) -> None:
    """It uses units all the same, and the way to stop that is there, within a screen."""
    lines = refused(facts, paper=Paper(speaker(language)))
    assert len(lines) <= LONGEST_REFUSAL
    assert any("colab-run release" in line.plain for line in lines)
    met = plain(say(judged(facts, "run: 'true'\n")))
    assert "This runtime uses compute units (rate not known)." in met


def test_a_row_that_cannot_be_told_is_not_started_here() -> None:
    """`check --on ROW` looks at a table: no `run --accept-unknown` for a machine that is elsewhere."""
    text = b"resources: {gpu: H100, cpus: 64, ram: 500GB}\nrun: 'true'\n"
    spec = read_job(text, source="job.yaml", folder="/", overrides=(), classes=shipped().class_names())
    found = check_on(Job("job.yaml", text, spec, ("colab-run", "check", "job.yaml")), Here({}), "h100")
    assert found.verdict.status.value == "unknown"
    assert "--accept-unknown" not in plain(say(found))


def test_a_colab_image_on_ones_own_box_has_no_menu() -> None:
    """No menu of Colab's, no price, and nothing about /content being deleted."""
    own = replace(CPU_RUNTIME, platform=Platform(PlatformKind.COLAB_UNMANAGED))
    text = plain(say(judged(own)))
    for word in ("Runtime >", "/content", "units", "Colab shows", "colab.research"):
        assert word not in text


def test_a_rate_is_said_once_where_a_cheaper_runtime_would_do() -> None:
    """The sentence about the cheaper one has it."""
    text = plain(say(judged(A100_RUNTIME, "resources: {gpu: L4}\nrun: 'true'\n")))
    assert text.replace("\n  ", " ").count("about 5.40 units/hour") == 1
    assert "A cheaper runtime would do" in text


@pytest.mark.parametrize(
    ("language", "said"), [("en", "files go with it"), ("zh-TW", "一併消失"), ("zh-CN", "丢失")]
)
def test_a_hold_that_ends_says_what_goes(language: str, said: str) -> None:
    """Who reads only this screen knows what two hours later means."""
    assert said in plain(scene("ended-held-for-a-while", language))
