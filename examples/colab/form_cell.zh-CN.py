# @title 在看护下运行训练任务 { display-mode: "form" }
# @markdown 先运行 `pip install colab-run`。大小和时间要写单位：`50GB`、`6h`。留空的栏不会写入文件。
import json
import os
from pathlib import Path

from IPython import get_ipython

名称 = "training"  # @param {type: "string"}
命令 = "python train.py"  # @param {type: "string"}
准备步骤 = ""  # @param {type: "string"}
GPU = "T4"  # @param ["none", "any", "T4", "L4", "A100", "A100-80GB", "H100"] {allow-input: true}
内存 = ""  # @param {type: "string"}
结果文件夹 = "results"  # @param {type: "string"}
保存到 = "/content/drive/MyDrive/colab-run"  # @param {type: "string"}
最长时间 = "6h"  # @param {type: "string"}
释放时机 = "idle"  # @param ["idle", "success", "always", "never"]
仅检查 = False  # @param {type: "boolean"}
# @markdown 任务文件保存为 `job.yaml`；想再看一遍结论，就运行 `colab-run check job.yaml`。

needs = {"gpu": GPU, "ram": 内存}
job = {
    "name": 名称,
    "resources": {key: value for key, value in needs.items() if value},
    "setup": 准备步骤,
    "run": 命令,
    "outputs": [{"path": 结果文件夹, "to": 保存到}] if 结果文件夹 else None,
    "max_duration": 最长时间,
    "release": {"when": 释放时机},
}
# One key a line: JSON is YAML, and every field arrives as it was typed.
header = "# Written by the form cell of colab-run."
lines = [header, *(f"{key}: {json.dumps(value, ensure_ascii=False)}" for key, value in job.items() if value)]
file = Path("job.yaml")
if file.exists() and not file.read_text(encoding="utf-8", errors="replace").startswith(header):
    raise FileExistsError(
        "job.yaml 不是这个单元格写的，因此保留不动：请先改名，或直接运行 `colab-run job.yaml`"
    )
file.write_text("\n".join(lines) + "\n", encoding="utf-8")

if 结果文件夹 and 保存到.startswith("/content/drive/") and not os.path.isdir("/content/drive/MyDrive"):
    from google.colab import drive  # only the notebook's own kernel can mount it

    drive.mount("/content/drive")

shell = get_ipython()
shell.system("colab-run check job.yaml" if 仅检查 else "colab-run job.yaml")
if shell.user_ns["_exit_code"]:  # so that "Run all" stops here
    raise RuntimeError(f"colab-run：退出代码 {shell.user_ns['_exit_code']}，原因见上文")
