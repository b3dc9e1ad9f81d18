# @title 在看守下執行訓練工作 { display-mode: "form" }
# @markdown 先執行 `pip install colab-run`。大小與時間要寫單位：`50GB`、`6h`。空白的欄位不會寫進去。
import json
import os
from pathlib import Path

from IPython import get_ipython

名稱 = "training"  # @param {type: "string"}
指令 = "python train.py"  # @param {type: "string"}
事前安裝 = ""  # @param {type: "string"}
GPU = "T4"  # @param ["none", "any", "T4", "L4", "A100", "A100-80GB", "H100"] {allow-input: true}
記憶體 = ""  # @param {type: "string"}
結果資料夾 = "results"  # @param {type: "string"}
儲存到 = "/content/drive/MyDrive/colab-run"  # @param {type: "string"}
最長時間 = "6h"  # @param {type: "string"}
何時釋放 = "idle"  # @param ["idle", "success", "always", "never"]
只檢查 = False  # @param {type: "boolean"}
# @markdown 工作檔會寫成 `job.yaml`；要再看一次，請執行 `colab-run check job.yaml`。

needs = {"gpu": GPU, "ram": 記憶體}
job = {
    "name": 名稱,
    "resources": {key: value for key, value in needs.items() if value},
    "setup": 事前安裝,
    "run": 指令,
    "outputs": [{"path": 結果資料夾, "to": 儲存到}] if 結果資料夾 else None,
    "max_duration": 最長時間,
    "release": {"when": 何時釋放},
}
# One key a line: JSON is YAML, and every field arrives as it was typed.
header = "# Written by the form cell of colab-run."
lines = [header, *(f"{key}: {json.dumps(value, ensure_ascii=False)}" for key, value in job.items() if value)]
file = Path("job.yaml")
if file.exists() and not file.read_text(encoding="utf-8", errors="replace").startswith(header):
    raise FileExistsError(
        "job.yaml 不是這個儲存格寫的，因此保留不動：請先改名，或直接執行 `colab-run job.yaml`"
    )
file.write_text("\n".join(lines) + "\n", encoding="utf-8")

if 結果資料夾 and 儲存到.startswith("/content/drive/") and not os.path.isdir("/content/drive/MyDrive"):
    from google.colab import drive  # only the notebook's own kernel can mount it

    drive.mount("/content/drive")

shell = get_ipython()
shell.system("colab-run check job.yaml" if 只檢查 else "colab-run job.yaml")
if shell.user_ns["_exit_code"]:  # so that "Run all" stops here
    raise RuntimeError(f"colab-run：結束代碼 {shell.user_ns['_exit_code']}，請看上方的說明")
