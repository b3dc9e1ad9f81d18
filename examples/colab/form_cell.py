# @title Run a training job under guard { display-mode: "form" }
# @markdown First: `pip install colab-run`. Sizes, times with units: `50GB`, `6h`. Empty fields are left out.
import json
import os
from pathlib import Path

from IPython import get_ipython

Name = "training"  # @param {type: "string"}
Command = "python train.py"  # @param {type: "string"}
Set_up = ""  # @param {type: "string"}
GPU = "T4"  # @param ["none", "any", "T4", "L4", "A100", "A100-80GB", "H100"] {allow-input: true}
RAM = ""  # @param {type: "string"}
Results = "results"  # @param {type: "string"}
Save_to = "/content/drive/MyDrive/colab-run"  # @param {type: "string"}
Longest = "6h"  # @param {type: "string"}
Release = "idle"  # @param ["idle", "success", "always", "never"]
Only_check = False  # @param {type: "boolean"}
# @markdown The job file is written to `job.yaml`; `colab-run check job.yaml` looks at it again.

needs = {"gpu": GPU, "ram": RAM}
job = {
    "name": Name,
    "resources": {key: value for key, value in needs.items() if value},
    "setup": Set_up,
    "run": Command,
    "outputs": [{"path": Results, "to": Save_to}] if Results else None,
    "max_duration": Longest,
    "release": {"when": Release},
}
# One key a line: JSON is YAML, and every field arrives as it was typed.
header = "# Written by the form cell of colab-run."
lines = [header, *(f"{key}: {json.dumps(value, ensure_ascii=False)}" for key, value in job.items() if value)]
file = Path("job.yaml")
if file.exists() and not file.read_text(encoding="utf-8", errors="replace").startswith(header):
    raise FileExistsError(
        "job.yaml was not written by this cell, so it stays: rename it, or run `colab-run job.yaml`"
    )
file.write_text("\n".join(lines) + "\n", encoding="utf-8")

if Results and Save_to.startswith("/content/drive/") and not os.path.isdir("/content/drive/MyDrive"):
    from google.colab import drive  # only the notebook's own kernel can mount it

    drive.mount("/content/drive")

shell = get_ipython()
shell.system("colab-run check job.yaml" if Only_check else "colab-run job.yaml")
if shell.user_ns["_exit_code"]:  # so that "Run all" stops here
    raise RuntimeError(f"colab-run: exit code {shell.user_ns['_exit_code']}, see above")
