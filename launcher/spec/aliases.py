"""The names that SkyPilot and dstack users know: which are read here, and as what. Pure tables.

A key that is read as another one is renamed in the tree before anything else looks at it, so that
duplicates, overrides and types have one name to think about.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from launcher.words import words

if TYPE_CHECKING:
    from launcher.spec.report import Report
    from launcher.spec.tree import Entry, Mapping
    from launcher.words import Words

# Path of the mapping → their name → ours.
ALIASES: dict[str, dict[str, str]] = {
    "": {"envs": "env", "commands": "run"},
    "resources": {"accelerators": "gpu", "memory": "ram", "disk_size": "disk", "cpu": "cpus"},
}

# Read as `release: {when: idle, after: …}`; their bare number counts in the unit given here.
IDLE_ALIASES = {"autostop": "m", "idle_duration": "s"}

# What a person who wrote this meant; near matches by letters find the rest.
MEANT = {
    "cmd": "run",
    "command": "run",
    "script": "run",
    "entrypoint": "run",
    "environment_variables": "env",
    "max_time": "max_duration",
    "time": "max_duration",
    "timeout": "max_duration",
    "results": "outputs",
    "restart": "retry",
    **dict.fromkeys(("idle_timeout", "stall", "stalled", "watchdog"), "idle"),
    "on_idle": "action",
    **dict.fromkeys(("dest", "destination", "target"), "to"),
    **dict.fromkeys(("src", "source", "from"), "path"),
    **dict.fromkeys(("interval", "save_every"), "every"),
    "ignore": "exclude",
    "resume": "restore",
    "backend": "with",
    "vram": "gpu",
    "storage": "disk",
    # 繁體中文 and 简体中文: keys are English everywhere, and people write what they read.
    **dict.fromkeys(("名稱", "名称", "名字", "工作名稱", "任务名称"), "name"),
    **dict.fromkeys(("語言", "语言"), "lang"),
    **dict.fromkeys(("資源", "资源", "需求", "要求"), "resources"),
    **dict.fromkeys(("工作目錄", "工作目录", "工作資料夾", "目錄", "目录", "文件夹", "資料夾"), "workdir"),
    **dict.fromkeys(("環境", "环境", "環境變數", "环境变量"), "env"),
    **dict.fromkeys(("密鑰", "密钥", "機密", "金鑰"), "secrets"),
    **dict.fromkeys(("安裝", "安装", "設定", "设置", "準備", "准备"), "setup"),
    **dict.fromkeys(("執行", "执行", "運行", "运行", "指令", "命令", "腳本", "脚本", "指令稿"), "run"),
    **dict.fromkeys(("輸出", "输出", "結果", "结果"), "outputs"),
    **dict.fromkeys(("時間", "时间", "時限", "时限", "最長時間", "最长时间", "最大时长"), "max_duration"),
    **dict.fromkeys(("預算", "预算"), "budget"),
    **dict.fromkeys(("重試", "重试"), "retry"),
    **dict.fromkeys(("閒置", "空閒", "空闲"), "idle"),
    **dict.fromkeys(("釋放", "释放"), "release"),
    **dict.fromkeys(("通知",), "notify"),
    **dict.fromkeys(("檢查", "检查"), "checks"),
    **dict.fromkeys(("顯示卡", "顯卡", "显卡", "加速器", "圖形處理器", "图形处理器"), "gpu"),
    **dict.fromkeys(("記憶體", "内存", "內存"), "ram"),
    **dict.fromkeys(("磁碟", "磁盘", "磁盤", "硬碟", "硬盘", "儲存空間", "存储"), "disk"),
    **dict.fromkeys(("處理器", "处理器", "核心", "核心數", "核数", "核心数"), "cpus"),
    **dict.fromkeys(("路徑", "路径"), "path"),
    **dict.fromkeys(("目的地", "目標", "目标", "到"), "to"),
    **dict.fromkeys(("包含", "包括", "只要"), "include"),
    **dict.fromkeys(("排除", "忽略"), "exclude"),
    **dict.fromkeys(("每隔", "間隔", "间隔"), "every"),
    **dict.fromkeys(("還原", "还原", "恢復", "恢复"), "restore"),
    **dict.fromkeys(("何時", "何时", "時機", "时机"), "when"),
    **dict.fromkeys(("方式", "用"), "with"),
    **dict.fromkeys(("鏡像", "镜像"), "mirror"),
    **dict.fromkeys(("紀錄", "記錄", "记录", "账本", "帳本"), "ledger"),
    **dict.fromkeys(("數量", "数量"), "count"),
    **dict.fromkeys(("顯示記憶體", "顯存", "显存"), "memory"),
}

_ONE_MACHINE = words("remove it: a job file describes one machine, the one that it is run on")
_FOUND_NOT_RENTED = words("remove it: colab-run runs on a machine that is there already, and rents none")
_FILES = words("remove it: the job runs where its files are; say where the results go with `outputs`")
_NO_IMAGE = words("remove it: the job runs in the runtime as it is; install what it needs in `setup`")
_NO_SERVICE = words("remove it: a job runs to its end and serves nothing")
_ALTERNATIVES = words("list the classes that will do, as in `gpu: [L4, A100]`")

FOREIGN: dict[str, Words] = {
    **dict.fromkeys(("num_nodes", "nodes"), _ONE_MACHINE),
    **dict.fromkeys(("file_mounts", "storage_mounts", "volumes", "repos", "files"), _FILES),
    **dict.fromkeys(("image", "image_id", "python", "registry_auth", "docker", "nvcc"), _NO_IMAGE),
    **dict.fromkeys(("ide", "port", "ports", "service", "replicas", "model"), _NO_SERVICE),
    **dict.fromkeys(
        (
            "infra",
            "cloud",
            "region",
            "regions",
            "zone",
            "instance_type",
            "instance_types",
            "backends",
            "fleets",
        ),
        _FOUND_NOT_RENTED,
    ),
    **dict.fromkeys(
        ("availability_zones", "use_spot", "spot_policy", "creation_policy", "reservation", "network_tier"),
        _FOUND_NOT_RENTED,
    ),
    **dict.fromkeys(("any_of", "ordered"), _ALTERNATIVES),
    "type": words("remove it: every job file is one task"),
    "max_price": words("use `budget` to limit what a job may cost"),
    "working_dir": words("use `workdir`"),
    "environment": words("use `env`"),
    "stop_duration": words("use `stop_grace`"),
    "utilization_policy": words("use `idle` to say what happens to a job that shows no sign of life"),
    "inactivity_duration": words("use `release` to say when the runtime is handed back"),
    "job_recovery": words("use `retry`"),
    **dict.fromkeys(("strategy", "sweep"), words("use `matrix`")),
    "shm_size": words("remove it: shared memory is what the runtime has"),
    "priority": words("remove it: nothing is queued here"),
    "user": words("remove it: the job runs as the user who starts it"),
    "privileged": words("remove it: the job runs with the rights of the user who starts it"),
    "experimental": words("remove it: there are no such settings"),
    "config": words("remove it: there are no such settings"),
    "labels": words("remove it: use `name` to recognise a job"),
    "tags": words("remove it: use `name` to recognise a job"),
}

FOREIGN_GPU: dict[str, Words] = {
    "name": words("write the class alone, as in `gpu: A100:2`, or the properties without it"),
    "vendor": words("remove it: GPUs are NVIDIA's here"),
    "total_memory": words("use `memory`, which is that of one GPU"),
}


def rename(mapping: Mapping, path: str, report: Report) -> None:
    """Give the entries of the mapping at `path` our names; two that then have one name are a problem."""
    renamed: dict[str, Entry] = {}
    for entry in mapping.entries.values():
        entry.name = canonical(path, entry.written)
        first = renamed.setdefault(entry.name, entry)
        if first is not entry:
            where = f"{path}.{entry.written}" if path else entry.written
            report.add("conflict", entry.key, where, other=first.written, line=first.key.line)
    mapping.entries = renamed


def canonical(path: str, written: str) -> str:
    """Our name for a key that was written in the mapping at `path`."""
    return ALIASES.get(path, {}).get(written, written)
