"""The text as a whole: encodings, sizes, bombs, and where things are."""

from __future__ import annotations

import resource
import subprocess
import sys
import time

import pytest

from launcher.errors import ExitCode, JobFileError


def test_larger_than_64_kib_is_refused_unread(reader):
    """A file of more than 64 KiB is one problem, whatever is in it."""
    assert reader.codes("run: x\n#" + "x" * 65536) == ["1:1 CR201"]
    assert reader.codes("run: x\n#" + "x" * (65536 - 8)) == []


def test_byte_offset_of_what_is_not_utf8(reader):
    """A byte that is not UTF-8 is named with its offset, counted with the byte order mark."""
    (problem,) = reader.problems(b"\xef\xbb\xbfrun: x\nname: \xff\n")
    assert (problem.line, problem.column) == (2, 7)
    assert "0xff at offset 16" in problem.message


def test_columns_count_characters(reader):
    """A column is a character, not a byte: an emoji and a Chinese character count one each."""
    assert reader.codes("run: x\nenv: {甲😀: x}\n") == ["2:7 CR237"]
    assert reader.codes("run: x\nresources: {gpu: '😀', ram: 5}\n")[1:] == ["2:28 CR231"]


def test_line_ends(reader):
    """LF, CRLF and CR all end a line, and are counted once."""
    for end in ("\n", "\r\n", "\r"):
        assert reader.codes(end.join(["run: x", "", "name: a/b", ""])) == ["3:7 CR236"]


def test_source_lines_are_the_lines_that_places_count(reader):
    """The error carries the lines that a caret can be drawn under."""
    with pytest.raises(JobFileError) as caught:
        reader.job("run: x\r\nname: a/b\r\n")
    error = caught.value
    assert error.exit_code == ExitCode.JOB_FILE
    problem = error.problems[0]
    assert error.source_lines[problem.line - 1][problem.column - 1 :] == "a/b"


def test_problems_of_a_broken_file_before_the_break_are_told(reader):
    """A syntax error hides nothing that stands before it, and nothing is called missing because of it."""
    codes = reader.codes("name: a/b\noutputs:\n  - path: out\nmax_duration: 5\nrun: 'x\n")
    assert codes == ["1:7 CR236", "3:5 CR222", "4:15 CR231", "5:6 CR204"]
    assert reader.codes("name: ok\noutputs:\n  - path: out\n    to: 'x\n") == ["4:9 CR204"]


BOMB = "a0: &a0 [x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"a{i}: &a{i} [{','.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 10)
)


def test_an_alias_bomb_costs_what_its_bytes_cost(reader):
    """Nine levels of nine aliases are refused in an instant, each at its place."""
    for pure_python in (False, True):
        began = time.perf_counter()
        codes = reader.codes(BOMB + "run: x\n", pure_python=pure_python)
        assert time.perf_counter() - began < 0.5  # 2 to 7 ms where it was measured
        assert sum(code.endswith("CR211") for code in codes) == 81


def test_an_alias_bomb_needs_no_memory(repository, tmp_path):
    """The bomb is refused within 300 MB of address space."""
    bomb = tmp_path / "bomb.yaml"
    bomb.write_text(BOMB)
    program = (
        "import sys; from launcher.errors import JobFileError; from launcher.spec.schema import read_job\n"
        "try: read_job(open(sys.argv[1], 'rb').read(), source='b', folder='/', classes=['T4'])\n"
        "except JobFileError as error: print(len(error.problems))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(bomb)],
        capture_output=True,
        text=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (300 << 20, 300 << 20)),
    )
    assert done.stdout.strip() == "102", done.stderr


@pytest.mark.parametrize(
    "text",
    [
        "run: " + "[" * 60000,
        "- " * 30000,
        "? " * 30000,
        "run: [" + "&a x, " * 10000 + "]",
        "run: '" + "x " * 30000,
        "{" + "a, " * 20000,
        "a" + ":a" * 30000,
        "\x00" * 65000,
        "，" * 20000,
        "run: x\nresources: {ram: '1" + " " * 60000 + "!', cpus: '4" + " " * 3000 + "!'}",
        "".join(f"k{i}: 1\n" for i in range(6000)),
        "run: x\nenv:\n" + "  A: 1\n" * 8000,
    ],
    ids=["brackets", "dashes", "question marks", "anchors", "quote", "brace", "colons", "NULs", "commas",
         "blanks", "keys", "duplicates"],
)  # fmt: skip
def test_hostile_files_are_refused_soon(reader, text):
    """No 64 KiB of anything keep the reader busy for more than seconds, with either parser."""
    began = time.perf_counter()
    for pure_python in (False, True):
        assert reader.problems(text, pure_python=pure_python)
    assert time.perf_counter() - began < 10  # below 1 s where it was measured


def test_nothing_in_a_file_is_executed(reader, tmp_path):
    """A Python tag is refused by name, and what it asks for does not happen."""
    marker = tmp_path / "marker"
    (problem,) = reader.problems(f'run: !!python/object/apply:os.system ["touch {marker}"]\n')
    assert "!!python/object/apply:os.system" in problem.message
    assert not marker.exists()


def test_values_of_env_and_secrets_are_never_repeated(reader):
    """What is wrong in `env` and `secrets` is said without the text, which may be the secret itself."""
    text = (
        "run: x\nenv: {1A: hunter2, B: [hunter2], C: {hunter: hunter2}}\nsecrets: [T=hunter2, {T: hunter2}]\n"
    )
    problems = reader.problems(text)
    assert len(problems) == 5
    assert "hunter2" not in "".join(p.message + p.hint + p.path for p in problems)
