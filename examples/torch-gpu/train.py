"""Train a small convolutional network in PyTorch, with checkpoints that survive the machine.

The pictures (discs, squares, crosses and rings under noise) are drawn on the device while it trains, so no
data is downloaded and no loader can be the bottleneck. On CUDA the arithmetic is bfloat16; on the CPU it
is float32, for a look at the script where there is no GPU (`--device cpu --steps 20`).

A checkpoint is written every `--every` steps and when a polite signal (SIGTERM, SIGINT) arrives: first
under another name, then renamed, so that whoever copies it never sees half of one. A run starts from the
newest `checkpoint.pt` under `--out` or under a `--resume` folder, such as the Drive folder of the last run.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional

CLASSES = ("disc", "square", "cross", "ring")
SIDE = 32  # pixels
SEED = 1


def draw(count: int, device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    """`count` noisy pictures (count, 1, SIDE, SIDE) and the class of each."""
    axis = torch.linspace(-1.0, 1.0, SIDE, device=device)
    centre = torch.rand(count, 2, 1, 1, device=device) * 0.8 - 0.4
    size = torch.rand(count, 1, 1, device=device) * 0.3 + 0.3
    x = axis.view(1, 1, SIDE) - centre[:, 0]
    y = axis.view(1, SIDE, 1) - centre[:, 1]
    radius = (x**2 + y**2).sqrt()
    square = torch.maximum(x.abs(), y.abs()) < size
    shapes = torch.stack(
        [
            radius < size,
            square,
            square & ((x.abs() < size / 3) | (y.abs() < size / 3)),
            (radius < size) & (radius > size * 0.6),
        ],
        dim=1,
    ).float()
    labels = torch.randint(len(CLASSES), (count,), device=device)
    clean = shapes[torch.arange(count, device=device), labels].unsqueeze(1)
    return clean + 0.5 * torch.randn_like(clean), labels


class Block(nn.Module):
    """Two convolutions around a shortcut."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(width, width, 3, padding=1, bias=False),
            nn.GroupNorm(8, width),
            nn.ReLU(),
            nn.Conv2d(width, width, 3, padding=1, bias=False),
            nn.GroupNorm(8, width),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return functional.relu(x + self.layers(x))


def build(width: int) -> nn.Sequential:
    """A small residual network; `width` is the number of channels."""
    return nn.Sequential(
        nn.Conv2d(1, width, 3, stride=2, padding=1),
        nn.ReLU(),
        Block(width),
        nn.MaxPool2d(2),
        Block(width),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(width, len(CLASSES)),
    )


class Stop:
    """Remembers the first polite signal; the loop looks at it between two steps."""

    def __init__(self) -> None:
        self.signal: signal.Signals | None = None
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._remember)

    def _remember(self, number: int, _frame: object) -> None:
        self.signal = self.signal or signal.Signals(number)


def replace_file(path: Path, write: Callable[[Path], object]) -> None:
    """`write` a file beside `path`, then put it in its place in one step."""
    beside = path.with_name(path.name + ".part")
    write(beside)
    beside.replace(path)


def newest_checkpoint(folders: list[Path]) -> Path | None:
    """The youngest `checkpoint.pt` at any depth of the folders that exist."""
    found = [path for folder in folders if folder.is_dir() for path in folder.rglob("checkpoint.pt")]
    return max(found, key=lambda path: path.stat().st_mtime, default=None)


def pick_device(wanted: str) -> torch.device:
    """The device asked for; `auto` never falls back to the CPU, because that would waste hours in silence."""
    if wanted == "cpu":
        return torch.device("cpu")
    if not torch.cuda.is_available():
        sys.exit("train.py: PyTorch sees no CUDA device; for a look without one: --device cpu --steps 20")
    return torch.device("cuda")


@torch.no_grad()
def accuracy(model: nn.Module, device: torch.device, pictures: int = 2048) -> float:
    """Share of freshly drawn pictures, none of them trained on, that the model names correctly."""
    model.eval()
    right = 0
    for _ in range(pictures // 256):
        x, y = draw(256, device)
        right += int((model(x).argmax(dim=1) == y).sum())
    model.train()
    return right / (pictures // 256 * 256)


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description="Train a small convolutional network on synthetic shapes.")
    parser.add_argument("--out", type=Path, default=Path("checkpoints"), help="folder for the results")
    parser.add_argument("--resume", type=Path, action="append", default=[], help="also look for one here")
    parser.add_argument("--device", choices=("auto", "cuda", "cpu"), default="auto")
    parser.add_argument("--steps", type=int, default=2000, help="steps in all, earlier runs counted")
    parser.add_argument("--every", type=int, default=250, help="steps between two checkpoints")
    parser.add_argument("--batch", type=int, help="pictures per step (1024 on CUDA, 64 on the CPU)")
    parser.add_argument("--width", type=int, help="channels, a multiple of 8 (128 on CUDA, 16 on the CPU)")
    return parser.parse_args()


def main() -> int:
    """Train from the newest checkpoint, or from the start."""
    options = parse()
    device = pick_device(options.device)
    on_cuda = device.type == "cuda"
    batch = options.batch or (1024 if on_cuda else 64)
    width = options.width or (128 if on_cuda else 16)
    options.out.mkdir(parents=True, exist_ok=True)
    stop = Stop()

    torch.manual_seed(SEED)
    model = build(width).to(device)
    optimiser = torch.optim.AdamW(model.parameters(), lr=3e-3, weight_decay=1e-2)
    step, losses = 0, []
    checkpoint = newest_checkpoint([options.out, *options.resume])
    if checkpoint is not None:
        state = torch.load(checkpoint, map_location=device, weights_only=True)
        if state["width"] != width:
            sys.exit(f"train.py: {checkpoint} has width {state['width']}, not {width}: give another --out")
        model.load_state_dict(state["model"])
        optimiser.load_state_dict(state["optimiser"])
        step, losses = state["step"], state["losses"]
        torch.manual_seed(SEED + step)  # other pictures than those it has seen
        print(f"resumed from {checkpoint} at step {step}", flush=True)
    print(f"{torch.cuda.get_device_name() if on_cuda else 'CPU'}, PyTorch {torch.__version__}", flush=True)

    def save() -> None:
        state = {"model": model.state_dict(), "optimiser": optimiser.state_dict()}
        state |= {"step": step, "losses": losses, "width": width}
        replace_file(options.out / "checkpoint.pt", lambda path: torch.save(state, path))

    first, began = step, time.perf_counter()
    while step < options.steps and stop.signal is None:
        x, y = draw(batch, device)
        with torch.autocast(device.type, dtype=torch.bfloat16, enabled=on_cuda):
            loss = functional.cross_entropy(model(x), y)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
        step += 1
        if step % 10 == 0 or step == options.steps:  # reading the loss waits for the GPU: not at every step
            losses.append((step, round(loss.item(), 4)))
        if step % 50 == 0 or step == options.steps:
            print(f"step {step:5d}/{options.steps}  loss {losses[-1][1]:.4f}", flush=True)
        if step % options.every == 0:
            save()
    seconds = time.perf_counter() - began
    save()

    measured = accuracy(model, device)
    metrics = {
        "accuracy": measured,
        "losses": losses,
        "step": step,
        "steps_wanted": options.steps,
        "steps_this_run": step - first,
        "interrupted_by": stop.signal.name if stop.signal else None,
        "train_seconds": round(seconds, 2),
        "peak_gpu_bytes": torch.cuda.max_memory_allocated() if on_cuda else None,
        "device": torch.cuda.get_device_name() if on_cuda else "cpu",
        "torch": torch.__version__,
    }
    text = json.dumps(metrics, indent=2) + "\n"
    replace_file(options.out / "metrics.json", lambda path: path.write_text(text, encoding="utf-8"))
    print(f"{measured:.3f} of fresh pictures named correctly after {step} steps", flush=True)
    return 0 if stop.signal is None else 128 + stop.signal


if __name__ == "__main__":
    sys.exit(main())
