"""The example files: every bad one has exactly its problems, every good one loads."""

from __future__ import annotations

from launcher.spec.messages import WORDINGS
from launcher.spec.problems import ProblemCode

# Found by the app, which looks at the disk.
NOT_OF_THE_TEXT = {ProblemCode.NO_SUCH_FOLDER, ProblemCode.TOO_LARGE}


def test_bad_files_have_exactly_the_problems_beside_them(reader, bad_file):
    """Every problem of a bad file is reported at once, sorted, with its place, its code and what to do."""
    found = [f"{p.line}:{p.column} {p.code.value} {p.hint}" for p in reader.problems(bad_file.read_bytes())]
    assert found == bad_file.with_suffix(".expected").read_text(encoding="utf-8").split("\n")[:-1]


def test_there_are_many(repository):
    """What people get wrong, from tabs to keys in Chinese."""
    assert len(list((repository / "tests/assets/spec/bad").glob("*.yaml"))) >= 150


def test_bad_files_read_the_same_without_libyaml(reader, bad_file):
    """Both parsers of PyYAML lead to the same problems at the same places in the same words."""
    data = bad_file.read_bytes()
    assert reader.problems(data) == reader.problems(data, pure_python=True)


def test_good_files_load_and_read_the_same_without_libyaml(reader, good_file):
    """A good file gives the same JobSpec with and without libyaml."""
    data = good_file.read_bytes()
    assert reader.job(data) == reader.job(data, pure_python=True)


def test_every_code_has_a_bad_file(repository):
    """There is an example of every code that a text can have."""
    folder = repository / "tests/assets/spec/bad"
    seen = {line.split()[1] for file in folder.glob("*.expected") for line in file.read_text().splitlines()}
    assert seen == {code.value for code in ProblemCode if code not in NOT_OF_THE_TEXT}


def test_every_bad_file_has_its_expectation(repository):
    """No example lies about without being looked at."""
    folder = repository / "tests/assets/spec/bad"
    assert {file.stem for file in folder.glob("*.yaml")} == {file.stem for file in folder.glob("*.expected")}


def test_problems_say_what_to_do(reader, bad_file):
    """A problem has a message and a hint of one line each, in which every placeholder is filled."""
    for problem in reader.problems(bad_file.read_bytes()):
        assert problem.message and problem.hint, problem
        for text in (problem.message, problem.hint):
            assert text.isprintable(), problem
            assert "None" not in text and not text.endswith((".", "?")), problem
        assert problem.place.startswith(f"job.yaml:{problem.line}:")


def test_every_wording_is_used(repository):
    """The table of words has no entry that nothing refers to."""
    folder = repository / "launcher" / "spec"
    source = "".join(file.read_text() for file in folder.glob("*.py") if file.name != "messages.py")
    assert [wording for wording in WORDINGS if f'"{wording}"' not in source] == []
