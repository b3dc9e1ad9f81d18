"""What every code means, with an example and what to do: of requirements (CR1xx) and exit codes. Pure.

problem_codes.py has those of job files. `explain CODE` and docs/errors.md are made of both.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from launcher.words import words

if TYPE_CHECKING:
    from launcher.words import Words


class Meaning(NamedTuple):
    """One code: what it means, what to do, and an example as it stands in a file or on a terminal."""

    means: Words
    do: Words
    example: str = ""


CHECK = "colab-run check job.yaml"

FINDINGS: dict[str, Meaning] = {
    "CR101": Meaning(
        words("This runtime does not have what the job needs, so nothing was started."),
        words("Switch to the runtime that is named below the table, or ask for less; then check again."),
        CHECK,
    ),
    "CR102": Meaning(
        words(
            "Something that the job needs could not be read here, so nobody can tell whether it would fit."
        ),
        words("Do what stands below the table. If you know that it fits, start with --accept-unknown."),
        "colab-run run --accept-unknown job.yaml",
    ),
    "CR110": Meaning(
        words("There is a GPU, but none of the class that was asked for, and none that is better."),
        words("Switch the runtime. If other classes will do, list them."),
        "gpu: [L4, A100]",
    ),
    "CR111": Meaning(
        words("There are GPUs of the right kind, but not as many as were asked for."),
        words("Ask for fewer, or take a machine with more. A Colab runtime has one."),
        "gpu: A100:2  ->  gpu: A100",
    ),
    "CR112": Meaning(
        words("The GPU has too little memory or too low a compute capability."),
        words("Switch the runtime, or ask for what the job really uses."),
        "gpu: {memory: 22GB, compute_capability: 8.0}",
    ),
    "CR113": Meaning(
        words("This runtime has no GPU, and the job needs one."),
        words("Choose a hardware accelerator in the menu that changes the runtime type."),
        CHECK,
    ),
    "CR114": Meaning(
        words("The GPU is cut into slices (MIG mode): a job gets one slice, never the whole GPU."),
        words("Ask for memory that a slice has, or switch the mode off."),
        "gpu: {memory: 18GB}",
    ),
    "CR115": Meaning(
        words("A GPU may be here, but its driver gives no answer that can be trusted."),
        words(
            "Disconnect and delete the runtime, then connect again. If that changes nothing, see nvidia-smi."
        ),
        "nvidia-smi",
    ),
    "CR116": Meaning(
        words("This runtime has no TPU of the type that the job needs, or does not say which it has."),
        words("Choose that TPU in the menu that changes the runtime type."),
        "tpu: v5e-1",
    ),
    "CR118": Meaning(
        words("The GPUs would do, but others use them or hold their memory, also at the end of --wait."),
        words("Wait longer, end what uses them, or let the job share them with gpu_sharing."),
        "colab-run run --wait 2h job.yaml",
    ),
    "CR117": Meaning(
        words("Other runs of colab-run have the GPUs that the job asks for."),
        words("Wait for them with `--wait 30m`, or say that the job may share one."),
        "resources: {gpu: T4, gpu_sharing: true}",
    ),
    "CR120": Meaning(
        words("The machine, or the container that it runs in, has less RAM than the job needs."),
        words("Switch to a runtime with more, or lower `ram` to what the job really uses."),
        "ram: 50GB",
    ),
    "CR130": Meaning(
        words("Less disk is free where the job and its outputs go than the job needs."),
        words("Delete what is not needed, write somewhere else, or lower `disk`."),
        "disk: 30GB",
    ),
    "CR140": Meaning(
        words("Fewer CPUs are ours than the job needs; limits of a container are counted."),
        words("Take a larger machine, or lower `cpus`."),
        "cpus: 4",
    ),
    "CR150": Meaning(
        words("A secret that the job file names is not in the environment."),
        words("Set it before the start. In Colab, read it from userdata in a cell of its own."),
        "secrets: [HF_TOKEN]",
    ),
    "CR160": Meaning(
        words("The folder that an output is to be copied into cannot take it."),
        words("Name a folder that exists or can be made, that you may write to, and that is not the output."),
        "outputs: [{path: checkpoints/, to: /content/drive/MyDrive/finetune}]",
    ),
    "CR161": Meaning(
        words("An output is to be copied to Drive, and Drive is not mounted."),
        words("Mount it in a cell of its own; a command after ! cannot do that."),
        "from google.colab import drive; drive.mount('/content/drive')",
    ),
    "CR170": Meaning(
        words("A package of `checks` is not installed in the Python that the job would use, or too old."),
        words("Install it there, or in `setup`. The Python that was looked into stands below the table."),
        'checks: {packages: ["torch>=2.4"]}',
    ),
    "CR171": Meaning(
        words("A file of `checks` is missing."),
        words("Put it there, or correct the path: it is relative to `workdir`."),
        "checks: {files: [config.yaml]}",
    ),
    "CR172": Meaning(
        words("A host of `checks` cannot be reached: no such name, no answer, or the connection is refused."),
        words(
            "Correct the name, see whether this machine may go out at all, and look at the proxy settings."
        ),
        'checks: {network: [huggingface.co, "db.example.org:5432"]}',
    ),
    "CR173": Meaning(
        words("An input of the job is missing, or smaller than the job file says."),
        words("Copy it completely, or correct `path` or `size`."),
        "inputs: [{path: data/train.parquet, size: 12GB}]",
    ),
    "CR174": Meaning(
        words("What the job makes of its inputs would not fit on the disk, all of it together with `disk`."),
        words("Delete what is not needed, work on another disk, or lower `room`."),
        "inputs: [{path: images.tar, size: 12GB, room: 40GB}]",
    ),
    "CR175": Meaning(
        words("An installed package that `checks` names cannot work on this GPU or with this driver."),
        words("Install a build for this GPU, or switch to a runtime that it was built for."),
        "pip install --upgrade torch",
    ),
    "CR180": Meaning(
        words("What an hour of this runtime costs is not known, and so how long the budget lasts."),
        words("Record the rate that Colab shows, or give `usd_per_hour` beside `usd` in the job file."),
        "budget: {usd: 4, usd_per_hour: 1.19}",
    ),
}

EXITS: dict[str, Meaning] = {
    "0": Meaning(
        words("The job succeeded, its outputs are saved, and what was asked of the runtime was done."),
        words("There is nothing to do."),
    ),
    "64": Meaning(
        words("The command line cannot be understood, or the job file that it names cannot be read."),
        words("Type the line that stands below the message. Nothing was started."),
        "colab-run --help",
    ),
    "65": Meaning(
        words("The job file has problems. All of them are shown at once, each with its place and code."),
        words("Correct the lines that are pointed at. Nothing was started."),
        CHECK,
    ),
    "69": Meaning(
        words(
            "The requirements are not met or could not be read, or this runtime is being handed back right "
            "now."
        ),
        words("Do what the screen says. Nothing was started, and the runtime still costs what it costs."),
        CHECK,
    ),
    "70": Meaning(
        words(
            "Something that colab-run did not expect happened: it is a bug of ours. Or its answer could not "
            "be written."
        ),
        words("Make room if the disk is full. Else please report it with the lines printed above it."),
    ),
    "73": Meaning(
        words("The folder for runs, logs and results cannot be used. Nothing was started."),
        words("Name a folder that you can write to."),
        "export COLAB_RUN_HOME=$PWD/colab-run",
    ),
    "74": Meaning(
        words("The job succeeded, but an output could not be copied and verified. The runtime is kept."),
        words("Copy it by hand, then hand the runtime back: it still costs money."),
        "colab-run release --discard",
    ),
    "75": Meaning(
        words(
            "The job succeeded and a release was asked for, but it was not accepted: it still costs money."
        ),
        words("Ask again, or use the menu that disconnects and deletes the runtime."),
        "colab-run release",
    ),
    "124": Meaning(
        words(
            "The job was stopped because `max_duration` was over, or because it showed no sign of life for "
            "as long as `idle` says. What it had written was saved."
        ),
        words("Raise the limit, or let the job continue from its last checkpoint; see where it stood."),
        "max_duration: 6h",
    ),
    "126": Meaning(
        words("The command is there, but it could not be started."),
        words("Make the file executable, and check its first line and `workdir`."),
        "chmod +x train.sh",
    ),
    "127": Meaning(
        words("There is no such command on this machine."),
        words("Correct its name, or install it in `setup`."),
        "setup: pip install -q -r requirements.txt",
    ),
    "130": Meaning(
        words("A person stopped the run, with the stop button or Ctrl-C. The runtime is kept."),
        words("Run it again, or hand the runtime back."),
        "colab-run release",
    ),
    "143": Meaning(
        words("colab-run was asked to end (SIGTERM), and ended the job before itself. The runtime is kept."),
        words("Run it again, or hand the runtime back."),
        "colab-run release",
    ),
}
