"""What the codes of job files (CR2xx) mean, with an example and what to do. Pure."""

from __future__ import annotations

from launcher.report.codes import Meaning
from launcher.words import words

PROBLEMS: dict[str, Meaning] = {
    "CR201": Meaning(
        words("A job file is a page of text; this one is larger than 64 KiB."),
        words("Move data out of it, into files that the job reads."),
    ),
    "CR202": Meaning(
        words("The file is not written in UTF-8, so its letters cannot be told apart for sure."),
        words("Save it as UTF-8 in your editor."),
        "iconv -f big5 -t utf-8 old.yaml > job.yaml",
    ),
    "CR203": Meaning(
        words("A control character stands in the file. It cannot be seen, and it changes what is read."),
        words("Delete it and type the text again."),
    ),
    "CR204": Meaning(
        words("The file is not YAML: a quote, a bracket, a colon or the indentation is wrong."),
        words("Look at the place that the caret points at."),
        "run: echo a: b  ->  run: 'echo a: b'",
    ),
    "CR205": Meaning(
        words("A tab stands where YAML wants spaces."),
        words("Indent with spaces, two for each level."),
    ),
    "CR206": Meaning(
        words("A full-width character or a curly quote stands where YAML wants a plain one."),
        words("Switch the input method to half-width, and type the character again."),
        "ram： 50GB  ->  ram: 50GB",
    ),
    "CR207": Meaning(
        words("The file has no job in it: it is empty, or it has comments only."),
        words("Write at least what is to be run."),
        "run: python train.py",
    ),
    "CR208": Meaning(
        words("A second YAML document begins at `---`, and a job file holds one job."),
        words("Put the second job into a file of its own."),
    ),
    "CR209": Meaning(
        words("Lists and mappings are nested deeper than any job needs."),
        words("Write it flatter."),
    ),
    "CR210": Meaning(
        words("An anchor (`&name`) stands in the file. Job files say everything where it is needed."),
        words("Write the value out, or put a text that begins with & in quotes."),
        "run: &x echo  ->  run: echo",
    ),
    "CR211": Meaning(
        words("An alias (`*name`) stands in the file, or a text that looks like one."),
        words("Write the value out, or put the text in quotes."),
        "path: *.pt  ->  path: '*.pt'",
    ),
    "CR212": Meaning(
        words("A merge key (`<<`) stands in the file."),
        words("Write the keys out."),
    ),
    "CR213": Meaning(
        words("A tag (`!name`) stands in the file. A job file knows texts, lists and mappings only."),
        words("Remove it, or put the text in quotes."),
        "run: !x echo  ->  run: echo",
    ),
    "CR220": Meaning(
        words("There is no such key here. Nothing that was written is passed over in silence."),
        words("Use the key that is suggested, or remove it."),
        "dsk: 30GB  ->  disk: 30GB",
    ),
    "CR221": Meaning(
        words("The same key stands twice, and only one of them could count."),
        words("Keep one of the two."),
    ),
    "CR222": Meaning(
        words("A required key is missing, or a key has no value."),
        words("Write it. `run` is the only key that every job needs."),
        "run: python train.py",
    ),
    "CR223": Meaning(
        words("SkyPilot or dstack know this key, and here it has no meaning."),
        words("Do what stands below the problem; most of them are simply removed."),
        "num_nodes: 1  ->",
    ),
    "CR224": Meaning(
        words("Two keys say the same thing, or contradict each other."),
        words("Keep one of them."),
        "memory: 32  +  ram: 50GB",
    ),
    "CR225": Meaning(
        words("The key or value is part of the plan, but this version cannot do it yet."),
        words("Remove it, or use what is suggested."),
    ),
    "CR226": Meaning(
        words("What stands before the colon is not a plain text."),
        words("Write a key, a colon and a space."),
        "key: value",
    ),
    "CR230": Meaning(
        words("The value is of another kind than the key wants."),
        words("Write it as in the example that stands below the problem."),
        "secrets: HF_TOKEN  ->  secrets: [HF_TOKEN]",
    ),
    "CR231": Meaning(
        words("A number stands alone where a unit is needed, and nobody should have to guess it."),
        words("Write the unit behind the number."),
        "ram: 50  ->  ram: 50GB",
    ),
    "CR232": Meaning(
        words("The unit is not known. GB is 10^9 bytes, GiB is 2^30 bytes; times are s, m, h and d."),
        words("Use one of these units."),
        "max_duration: 6 hours  ->  max_duration: 6h",
    ),
    "CR233": Meaning(
        words("The number is negative, zero, infinite or far too large."),
        words("Write a number that the key can have."),
        "max_duration: 0s  ->  max_duration: 6h",
    ),
    "CR234": Meaning(
        words("The value is none of those that the key knows."),
        words("Use one of the values that are listed."),
        "leftovers: stop  ->  leftovers: kill",
    ),
    "CR235": Meaning(
        words("This is not a GPU class that colab-run knows."),
        words("Use the class that is suggested, or ask by memory."),
        "gpu: A1000  ->  gpu: A100",
    ),
    "CR236": Meaning(
        words("The name of the job cannot be the name of a folder."),
        words("Use letters, digits, `-` and `_`, at most 100 of them."),
        "name: a/b  ->  name: a-b",
    ),
    "CR237": Meaning(
        words("The environment cannot have a variable of this name."),
        words("Use letters, digits and `_`, and no digit first."),
        "env: {2FA: x}  ->  env: {TWO_FA: x}",
    ),
    "CR238": Meaning(
        words(
            "The text cannot be handed on: it has a NUL character, or is no web address where one is needed."
        ),
        words("Correct the text."),
    ),
    "CR239": Meaning(
        words("The path is empty, or has a variable in it; variables are not expanded in job files."),
        words("Write the path out."),
        "to: $HOME/out  ->  to: ~/out",
    ),
    "CR240": Meaning(
        words("An upper bound was given, and only a lower one can be checked."),
        words("Write the least that will do."),
        "ram: 16GB..64GB  ->  ram: 16GB",
    ),
    "CR241": Meaning(
        words("`workdir` names a folder that is not there."),
        words("Create it, or correct the path; it is read from the folder of the job file."),
        "workdir: .",
    ),
    "CR242": Meaning(
        words(
            "The text names no place that colab-run can save to: the kind is unknown, or a part is missing."
        ),
        words(
            "Write a folder, `rclone:remote:path`, `gs://bucket/…`, `s3://bucket/…`, `hf://user/repo/…`, or "
            "a command with `{{path}}` in it. The mirror of the ledger is a folder."
        ),
        "to: gcs://bucket/x  ->  to: gs://bucket/x",
    ),
    "CR243": Meaning(
        words(
            "The pattern could never match a file of the output, or would match something else than it says."
        ),
        words("Write it as seen from the `path` of the output; `*.pt` matches at any depth."),
        "include: /root/out/*.pt  ->  include: '*.pt'",
    ),
}
