"""Teach a tiny model, and write a checkpoint after every epoch, in a way that survives being killed.

Nothing but the standard library: a straight line is fitted to noisy points by stochastic gradient
descent. What counts here is not the model but its checkpoints: each is written beside its place and renamed,
so that whoever looks finds a whole one; the last one is found again at the start; older ones are removed.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import time
from pathlib import Path

TRUE_SLOPE, TRUE_OFFSET = 3.0, -2.0
KEPT = 40


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--epochs", type=int, default=60)
    parser.add_argument("--seconds", type=float, default=0.5, help="how long one epoch takes")
    options = parser.parse_args()
    folder = Path("checkpoints")
    folder.mkdir(exist_ok=True)
    state = latest(folder)
    if state["epoch"]:
        print(f"going on after epoch {state['epoch']} (resumed: {os.environ.get('COLAB_RUN_RESUMED', '?')})")
    while state["epoch"] < options.epochs:
        state = train_one_epoch(state, options.seconds)
        save(folder, state)
        print(f"epoch {state['epoch']}: loss {state['loss']:.5f}")
    print(f"slope {state['slope']:.2f}, offset {state['offset']:.2f}")


def latest(folder: Path) -> dict:
    """The newest checkpoint, or where training begins."""
    found = sorted(folder.glob("epoch-*.json"))
    if found:
        return json.loads(found[-1].read_text())
    return {"epoch": 0, "slope": 0.0, "offset": 0.0, "loss": None}


def save(folder: Path, state: dict) -> None:
    """Written, on disk, and only then under its name; the oldest go."""
    path = folder / f"epoch-{state['epoch']:05d}.json"
    unfinished = folder / f".{path.name}.part"
    with unfinished.open("w") as file:
        json.dump(state, file)
        file.flush()
        os.fsync(file.fileno())
    unfinished.rename(path)
    for old in sorted(folder.glob("epoch-*.json"))[:-KEPT]:
        old.unlink()


def train_one_epoch(state: dict, seconds: float) -> dict:
    """A hundred steps; the epoch's number is the seed, so that a resumed training repeats the same steps."""
    rng = random.Random(state["epoch"])
    slope, offset, losses = state["slope"], state["offset"], []
    for _ in range(100):
        x = rng.uniform(-1, 1)
        error = slope * x + offset - (TRUE_SLOPE * x + TRUE_OFFSET + rng.gauss(0, 0.1))
        slope -= 0.05 * error * x
        offset -= 0.05 * error
        losses.append(error * error)
    time.sleep(seconds)
    return {"epoch": state["epoch"] + 1, "slope": slope, "offset": offset, "loss": sum(losses) / len(losses)}


if __name__ == "__main__":
    main()
