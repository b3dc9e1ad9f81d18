"""Which language is chosen, and who learns that there are others."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

import pytest

from helpers.cli import command
from launcher.errors import UsageError
from launcher.i18n import OTHERS, by_locale, choose, understood

if TYPE_CHECKING:
    from pathlib import Path

TW, CN = "執行階段", "运行时"


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("en", "en"),
        ("EN_us.UTF-8", "en"),
        ("zh-TW", "zh-TW"),
        ("zh_TW.UTF-8", "zh-TW"),
        ("zh_HK.UTF-8", "zh-TW"),
        ("zh-Hant", "zh-TW"),
        ("zh-Hant-HK", "zh-TW"),
        ("zh_CN.GB18030", "zh-CN"),
        ("zh_SG@pinyin", "zh-CN"),
        ("zh-Hans", "zh-CN"),
        ("zh-Hans-HK", "zh-CN"),
        ("zh", "zh-CN"),
        ("de_DE.UTF-8", None),
        ("C.UTF-8", None),
        ("POSIX", None),
        ("", None),
    ],
)
def test_names_of_languages(text: str, language: str | None) -> None:
    """As a person writes them, and as locales do."""
    assert understood(text) == language


CHOICES = [
    # option, variable, job, locale → language, was it asked for
    ("zh-TW", "zh-CN", "en", "en_US.UTF-8", ("zh-TW", True)),
    (None, "zh-CN", "zh-TW", "en_US.UTF-8", ("zh-CN", True)),
    (None, "", "zh-TW", "zh_CN.UTF-8", ("zh-TW", True)),
    (None, None, "en", "zh_CN.UTF-8", ("en", True)),
    (None, None, None, "zh_TW.UTF-8", ("zh-TW", True)),
    (None, None, None, "zh_CN.UTF-8", ("zh-CN", True)),
    (None, None, None, "en_US.UTF-8", ("en", False)),
    (None, None, None, "fr_FR.UTF-8", ("en", False)),
    (None, None, None, "", ("en", False)),
    ("en", None, "zh-TW", "zh_TW.UTF-8", ("en", True)),
]


@pytest.mark.parametrize(("option", "variable", "job", "locale", "expected"), CHOICES)
def test_order(
    option: str | None, variable: str | None, job: str | None, locale: str, expected: tuple[str, bool]
) -> None:
    """--lang, COLAB_RUN_LANG, `lang:` of the job file, the locale, English."""
    environ = {"LANG": locale} | ({} if variable is None else {"COLAB_RUN_LANG": variable})
    chosen = choose(environ, option=option, job=job)
    assert (chosen.language, chosen.asked) == expected


def test_first_locale_variable_that_is_set_counts() -> None:
    """LC_ALL before LC_MESSAGES before LANG."""
    assert by_locale({"LC_ALL": "C.UTF-8", "LANG": "zh_TW.UTF-8"}).language == "en"
    assert by_locale({"LC_ALL": "", "LC_MESSAGES": "zh_CN", "LANG": "zh_TW"}).language == "zh-CN"


@pytest.mark.parametrize("environ", [{}, {"COLAB_RUN_LANG": "tlh"}])
def test_unknown_language_is_named_with_what_there_is(environ: dict[str, str]) -> None:
    """Nobody who names a language is given another one in silence."""
    with pytest.raises(UsageError) as caught:
        choose(environ, option=None if environ else "tlh")
    assert "tlh" in caught.value.what
    assert caught.value.hint == "use one of: en, zh-TW, zh-CN"


def test_one_language_is_one_function() -> None:
    """A catalogue is read once; English reads none."""
    assert choose({}, option="zh-TW").translate is choose({}, option="zh_TW").translate


# --- the command ----------------------------------------------------------------------------------


@pytest.fixture
def colab_run(tmp_path: Path):
    """The command in an empty folder, in a locale that says nothing unless told otherwise."""
    gone = ("COLAB_", "TBE_", "LC_", "LANG")
    base = {name: value for name, value in os.environ.items() if not name.startswith(gone)}

    def run(*words: str, job: str | None = None, **environ: str) -> subprocess.CompletedProcess[str]:
        if job is not None:
            (tmp_path / "job.yaml").write_text(job, encoding="utf-8")
        return subprocess.run(
            [*command(), *words],
            cwd=tmp_path,
            env={**base, "COLAB_RUN_HOME": str(tmp_path / "home"), "LANG": "C.UTF-8", **environ},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            encoding="utf-8",
            timeout=60,
            check=False,
        )

    return run


IMPOSSIBLE = "resources: {ram: 900TB}\nrun: 'true'\n"


def test_each_way_to_ask_is_heard(colab_run) -> None:
    """The refusal of one job file, asked for in each of the four ways."""
    ways = {
        "option": colab_run("job.yaml", "--lang", "zh-TW", job=IMPOSSIBLE),
        "variable": colab_run("job.yaml", job=IMPOSSIBLE, COLAB_RUN_LANG="zh-TW"),
        "file": colab_run("job.yaml", job="lang: zh-TW\n" + IMPOSSIBLE),
        "locale": colab_run("job.yaml", job=IMPOSSIBLE, LANG="zh_TW.UTF-8"),
    }
    for way, ended in ways.items():
        assert (way, ended.returncode) == (way, 69), ended.stderr
        assert f"目前的{TW}不符合 job.yaml" in ended.stderr
    assert len({ended.stderr for ended in ways.values()}) == 1


def test_problems_are_told_in_the_language_of_the_file(colab_run) -> None:
    """A file that cannot be read as a job still says which language its author reads."""
    ended = colab_run("job.yaml", job="lang: zh-CN\nresources: {内存: 50GB}\nrun: x\n")
    assert ended.returncode == 65
    assert "resources.内存: 不存在这个键 [CR220]" in ended.stderr
    assert "请改用 `ram`" in ended.stderr


def test_unknown_language_is_64_in_the_language_of_the_locale(colab_run) -> None:
    """--lang xx: what there is, in what the person most likely reads."""
    for ended in (
        colab_run("--lang", "xx", "probe", LANG="zh_CN.UTF-8"),
        colab_run("probe", COLAB_RUN_LANG="xx", LANG="zh_CN.UTF-8"),
    ):
        assert ended.returncode == 64
        assert "xx 不在支持的语言之列" in ended.stderr
        assert "en, zh-TW, zh-CN" in ended.stderr


def test_the_other_languages_are_named_once_on_colab(colab_run) -> None:
    """Who gets English without having asked for it reads one line in the other two; nobody else does."""
    on_colab = {"COLAB_RELEASE_TAG": "release-colab_20261101"}
    told = colab_run("probe", **on_colab, LANG="en_US.UTF-8")
    assert told.stdout.splitlines()[-1] == OTHERS
    assert told.stdout.count("--lang") == 2
    assert OTHERS not in colab_run("probe").stdout
    assert OTHERS not in colab_run("probe", "--lang", "en", **on_colab).stdout
    assert OTHERS not in colab_run("probe", **on_colab, LANG="zh_TW.UTF-8").stdout
    assert OTHERS not in colab_run("probe", "--json", **on_colab).stdout
    run = colab_run("job.yaml", job="run: 'true'\n", **on_colab)
    assert (run.returncode, run.stderr.count(OTHERS)) == (0, 1)


def test_json_is_english_in_every_language(colab_run) -> None:
    """A script reads the same document whatever its user reads."""
    english, chinese = (
        colab_run("check", "job.yaml", "--json", "--lang", language, job="rum: x\nrun: x\n")
        for language in ("en", "zh-CN")
    )
    assert english.stdout == chinese.stdout
    assert '"message": "no such key"' in chinese.stdout


def test_output_of_the_job_is_not_touched(colab_run) -> None:
    """The language is ours alone."""
    ended = colab_run("job.yaml", "--lang", "zh-TW", job="run: echo heard\n")
    assert (ended.returncode, ended.stdout) == (0, "heard\n")
    assert "job 成功" in ended.stderr
