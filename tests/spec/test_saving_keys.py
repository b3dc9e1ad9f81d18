"""Outputs, release and mirror: what their keys become, and where `to` and patterns meet the saving."""

from __future__ import annotations

import pytest

from launcher.saving.model import Target, TargetKind, parse_target
from launcher.saving.patterns import patterns
from launcher.spec.model import AfterHold, Output, ReleasePolicy, ReleaseWith, When, With

COPY = "cp -r {path} /mnt"


def outputs(reader, item, *overrides):
    return reader.job(f"run: x\noutputs: [{item}]\n", *overrides).outputs


def only_problem(reader, text, *overrides):
    (problem,) = reader.problems(text, *overrides)
    return problem


def test_an_output_with_everything(reader):
    """Every key of an output arrives in its type; one pattern is a list of one."""
    item = "{path: a/, to: /mnt, include: '*.pt', exclude: [b/, 'c/**/d'], every: 1h30m, restore: true}"
    assert outputs(reader, item) == (Output("a/", "/mnt", ("*.pt",), ("b/", "c/**/d"), 5400.0, True),)


def test_an_output_with_nothing(reader):
    """Without its other keys an output is everything, saved at the end, and not brought back."""
    assert outputs(reader, "{path: a, to: /mnt}") == (Output("a", "/mnt", (), (), None, False),)


TARGETS = {
    "/mnt/x": Target(TargetKind.FOLDER, "/mnt/x"),
    "saved": Target(TargetKind.FOLDER, "/jobs/saved"),
    "./a:b": Target(TargetKind.FOLDER, "/jobs/a:b"),
    "訓練：一": Target(TargetKind.FOLDER, "/jobs/訓練：一"),
    "rclone:drive:x/y": Target(TargetKind.RCLONE, "drive:x/y"),
    "rclone:drive:": Target(TargetKind.RCLONE, "drive:"),
    "rclone: my drive:x": Target(TargetKind.RCLONE, "my drive:x"),
    "rclone::local:/tmp/x": Target(TargetKind.RCLONE, ":local:/tmp/x"),
    "rclone::s3,env_auth:b/x": Target(TargetKind.RCLONE, ":s3,env_auth:b/x"),
    "gs://bucket": Target(TargetKind.GS, "gs://bucket"),
    " gs://bucket/a b/ ": Target(TargetKind.GS, "gs://bucket/a b/"),
    "s3://bucket/x": Target(TargetKind.S3, "s3://bucket/x"),
    "hf://user/repo": Target(TargetKind.HF, "hf://user/repo"),
    "hf://user/repo@v1.0/a": Target(TargetKind.HF, "hf://user/repo@v1.0/a"),
    "hf://datasets/user/repo/a/b": Target(TargetKind.HF, "hf://datasets/user/repo/a/b"),
    f"command: {COPY}": Target(TargetKind.COMMAND, COPY),
    f"command:{COPY} && echo $HOME": Target(TargetKind.COMMAND, f"{COPY} && echo $HOME"),
}


@pytest.mark.parametrize(("written", "target"), TARGETS.items())
def test_targets_are_those_that_the_saving_reads(reader, written, target):
    """What the job file accepts is what saving/model.py takes it for."""
    (output,) = outputs(reader, f"{{path: a, to: '{written}'}}")
    assert parse_target(output.to, "/jobs") == target


def test_a_command_in_two_spellings_is_one(reader):
    """`{command: …}` and `command: …` are the same target, with no blanks around the command."""
    text, mapping = f"'command:  {COPY} '", f"{{command: ' {COPY} '}}"
    assert {outputs(reader, f"{{path: a, to: {to}}}")[0].to for to in (text, mapping)} == {f"command:{COPY}"}


@pytest.mark.parametrize(
    ("written", "hint"),
    [
        ("gcs://b/x", "use `gs://`"),
        ("gs:b/x", "use `gs://`"),
        ("GS://b/x", "use `gs://`"),
        ("s3a://b/x", "use `s3://`"),
        ("huggingface://u/r", "use `hf://`"),
        ("https://huggingface.co/u/r?x=1", "use `hf://u/r`"),
        ("rclon:drive:x", "use `rclone:`"),
        ("commnd: x {path}", "use `command:`"),
        ("file:///mnt/x", "use `/mnt/x`"),
        ("drive:x", "write `rclone:drive:x` for"),
        ("http://h/x", "use a folder, `rclone:`"),
        ("hdfs://h/x", "use a folder, `rclone:`"),
        ("ssh://h/x", "use a folder, `rclone:`"),
    ],
)
def test_what_to_write_instead_of_an_unknown_kind(reader, written, hint):
    """A target of no known kind is answered with the kind that was meant."""
    problem = only_problem(reader, f"run: x\noutputs: [{{path: a, to: '{written}'}}]\n")
    assert (problem.code.value, problem.path) == ("CR242", "outputs[0].to")
    assert problem.hint.startswith(hint)


def test_variables_are_for_commands(reader):
    """A `$` is the shell's in a command, and nobody's in any other target."""
    assert outputs(reader, "{path: a, to: 'command: cp {path} $HOME'}")
    for to in ("$HOME/x", "gs://$BUCKET/x", "rclone:$REMOTE:x", "hf://$USER/x"):
        assert only_problem(reader, f"run: x\noutputs: [{{path: a, to: '{to}'}}]\n").code.value == "CR239", to


@pytest.mark.parametrize(
    "item", ["{to: 'command: X', restore: true, path: a}", "{path: a, to: {command: 'X'}, restore: true}"]
)
def test_a_command_gives_nothing_back(reader, item):
    """`restore: true` with a command is a conflict at `restore`; `false` is none."""
    item = item.replace("X", COPY)
    problem = only_problem(reader, f"run: x\noutputs: [{item}]\n")
    assert (problem.code.value, problem.path) == ("CR224", "outputs[0].restore")
    assert outputs(reader, item.replace("true", "false"))[0].restore is False


@pytest.mark.parametrize("second", ["gs://bu/x/", "gs://bu/x"])
def test_a_bucket_is_no_path(reader, second):
    """`gs://` targets are compared as they are but for a last slash: `//` is part of a key there."""
    text = "run: x\noutputs: [{{path: a, to: 'gs://bu/x'}}, {{path: c/a, to: '{}'}}]\n"
    assert reader.codes(text.format(second)) == ["2:46 CR224"]
    assert reader.codes(text.format("gs://bu//x")) == []


def test_folders_are_compared_where_they_are(reader):
    """A folder under the workdir is the same in its short and its long spelling."""
    text = "run: x\noutputs: [{path: a, to: saved}, {path: c/a, to: /srv/project/./saved}]\n"
    assert reader.codes(text) == ["2:40 CR224"]


@pytest.mark.parametrize(
    ("written", "expected"),
    [("10s", 10.0), ("10m", 600.0), ("9.9s", "CR233"), ("0.1m", "CR233"), ("0s", "CR233"), ("10", "CR231")],
)
def test_every(reader, written, expected):
    """Saving again takes 10 s at least, and a unit."""
    text = f"run: x\noutputs: [{{path: a, to: /mnt, every: {written}}}]\n"
    found = reader.codes(text)
    assert [code.split()[1] for code in found] == ([expected] if isinstance(expected, str) else [])
    if not found:
        assert reader.job(text).outputs[0].every_s == expected


@pytest.mark.parametrize("written", ["yes", "on", "True", "TRUE", "1", "y", "nope"])
def test_restore_has_two_words(reader, written):
    """Only `true` and `false`, none of the other words of YAML 1.1."""
    text = f"run: x\noutputs: [{{path: a, to: /mnt, restore: {written}}}]\n"
    assert only_problem(reader, text).code.value == "CR230"


PATTERNS = {
    "*.pt": ("a.pt", "x/a.pt"),
    "/*.pt": ("a.pt",),
    "x/*.pt": ("x/a.pt",),
    "**/a.pt": ("a.pt", "x/a.pt"),
    "x/": ("x/a.pt", "x/b"),
    "[!a]": ("x/a.pt", "x/b"),
}


@pytest.mark.parametrize(("written", "taken"), PATTERNS.items())
def test_patterns_are_those_of_the_saving(reader, written, taken):
    """A pattern goes to saving/patterns.py as it stands, where it means what the page says."""
    (output,) = outputs(reader, f"{{path: a, to: /mnt, include: '{written}'}}")
    which = patterns(output.include, output.exclude)
    assert tuple(path for path in ("a.pt", "x/a.pt", "x/b") if which.takes(path)) == taken


@pytest.mark.parametrize(
    "written",
    ["", " ", "/", "//", "/a/b", "~/a", "..", "../a", "a/..", "a/../b", "./a", "a//b", "!a", "$A", "*.{a,b}"],
)
def test_patterns_that_could_not_match(reader, written):
    """What could never match, or not what it says, is a problem and not an output without files."""
    for key in ("include", "exclude"):
        for value in (f"'{written}'", f"[ok, '{written}']"):
            text = f"run: x\noutputs: [{{path: a, to: /mnt, {key}: {value}}}]\n"
            assert only_problem(reader, text).code.value == "CR243", text


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        *(
            (kind.value, ReleaseWith(kind))
            for kind in With
            if kind not in (With.COMMAND, With.JUPYTER_KERNEL)
        ),
        ("'command: halt -p $X '", ReleaseWith(With.COMMAND, "halt -p $X")),
        ("{command: ' halt -p '}", ReleaseWith(With.COMMAND, "halt -p")),
        ("{jupyter: server}", ReleaseWith(With.JUPYTER)),
        ("{jupyter: kernel}", ReleaseWith(With.JUPYTER_KERNEL)),
    ],
)
def test_release_with(reader, written, expected):
    """Each way to hand the runtime back, in each spelling."""
    assert reader.job(f"run: x\nrelease: {{with: {written}}}\n").release.how == expected


def test_release_with_nothing_said(reader):
    """Without the key the platform decides."""
    assert reader.job("run: x\nrelease: {when: always}\n").release == ReleasePolicy(when=When.ALWAYS)


def test_a_hold_may_end_in_an_archive(reader):
    """`after_hold: archive` is a value like the others."""
    assert reader.job("run: x\nrelease: {after_hold: archive}\n").release.after_hold is AfterHold.ARCHIVE


@pytest.mark.parametrize(
    ("written", "code", "hint"),
    [
        ("command", "CR222", "write it too, as in `with: {command: "),
        ("'command:'", "CR222", "write it too, as in `with: {command: "),
        ("runpod", "CR234", "use `with: {command: …}`; docs/release.md"),
        ("Vast.ai", "CR234", "use `with: {command: …}`; docs/release.md"),
        ("Colab", "CR234", "use `colab`"),
        ("scancel", "CR234", "use `slurm`"),
        ("jupyter-kernel", "CR234", "use `{jupyter: kernel}`"),
        ("xyzzy", "CR234", "use one of them"),
        ("{jupyter: both}", "CR234", "use one of them"),
        ("{slurm: 1}", "CR220", "use one of: command, jupyter"),
        ("{}", "CR222", "fill it as in `{jupyter: kernel}`"),
    ],
)
def test_release_with_problems(reader, written, code, hint):
    """What hands nothing back is said, with what to write."""
    problem = only_problem(reader, f"run: x\nrelease: {{with: {written}}}\n")
    assert (problem.code.value, problem.path.startswith("release.with")) == (code, True)
    assert problem.hint.startswith(hint)


@pytest.mark.parametrize("written", ["/content/drive/MyDrive/x", "~/x", "runs", "./a:b"])
def test_mirror(reader, written):
    """The mirror is the folder as it is written; the app finds out where that is."""
    assert reader.job(f"run: x\nledger: {{mirror: {written}}}\n").mirror == written


@pytest.mark.parametrize("written", ["gs://b/x", "rclone:drive:x", "hf://u/r", "s3://b", "command: x {path}"])
def test_a_mirror_has_to_be_a_folder(reader, written):
    """A target that nothing can be appended to is no mirror, and the problem says so."""
    problem = only_problem(reader, f"run: x\nledger: {{mirror: '{written}'}}\n")
    assert (problem.code.value, problem.path) == ("CR242", "ledger.mirror")
    assert "has to be a folder" in problem.message


def test_overrides_of_the_new_keys(reader):
    """`--set` gives a release a command, the ledger a mirror, and replaces all outputs."""
    job = reader.job(
        "run: x\noutputs: [{path: a, to: /mnt}]\n",
        ("release.with.command", "halt"),
        ("ledger.mirror", "/mnt/runs"),
        ("outputs", "[{path: b, to: gs://bu, every: 1m}]"),
    )
    assert job.release.how == ReleaseWith(With.COMMAND, "halt")
    assert (job.mirror, job.outputs) == ("/mnt/runs", (Output("b", "gs://bu", every_s=60.0),))


@pytest.mark.parametrize(
    ("key", "code"), [("outputs[0].every", "CR220"), ("outputs.0.every", "CR230"), ("outputs.every", "CR230")]
)
def test_one_item_of_a_list_cannot_be_set(reader, key, code):
    """`--set outputs[0].every=…` is refused with what can be set."""
    problem = only_problem(reader, "run: x\noutputs: [{path: a, to: /mnt}]\n", (key, "1m"))
    assert (problem.code.value, problem.hint) == (code, "set the whole of `outputs`")
