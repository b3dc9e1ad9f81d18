"""Teach a small network to read handwritten digits: on the CPU, in a few seconds.

The data (1797 pictures of 8 x 8 pixels) comes with scikit-learn, so nothing is downloaded. A fifth of the
pictures is held out and looked at once, at the end; the learning curve is drawn from another fifth.

SIGTERM and SIGINT end the training after the epoch that is running: what has been learnt so far is
saved, `metrics.json` says that it was cut short, and the exit code is 128 + the signal's number.
"""

from __future__ import annotations

import argparse
import json
import platform
import signal
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import joblib
import matplotlib
import numpy as np
import sklearn
from sklearn.datasets import load_digits
from sklearn.metrics import ConfusionMatrixDisplay, accuracy_score, f1_score
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import MinMaxScaler

matplotlib.use("Agg")  # no screen is needed, and none is looked for
from matplotlib import pyplot as plt

SEED = 1
CLASSES = np.arange(10)


@dataclass
class Curve:
    """What one training run saw, epoch by epoch."""

    loss: list[float] = field(default_factory=list)
    train_accuracy: list[float] = field(default_factory=list)
    validation_accuracy: list[float] = field(default_factory=list)


class Stop:
    """Remembers the first polite signal; the loop looks at it between two epochs."""

    def __init__(self) -> None:
        self.signal: signal.Signals | None = None
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._remember)

    def _remember(self, number: int, _frame: object) -> None:
        self.signal = self.signal or signal.Signals(number)


def split(pixels: np.ndarray, labels: np.ndarray) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Three fifths to learn from, one for the curve, one held out; every digit in the same proportion."""
    rest_x, test_x, rest_y, test_y = train_test_split(
        pixels, labels, test_size=0.2, stratify=labels, random_state=SEED
    )
    train_x, validation_x, train_y, validation_y = train_test_split(
        rest_x, rest_y, test_size=0.25, stratify=rest_y, random_state=SEED
    )
    return {"train": (train_x, train_y), "validation": (validation_x, validation_y), "test": (test_x, test_y)}


def train(parts: dict[str, tuple[np.ndarray, np.ndarray]], epochs: int, stop: Stop) -> tuple[Pipeline, Curve]:
    """One pass over the training part per epoch, one printed line each."""
    scaler = MinMaxScaler().fit(parts["train"][0])  # the test part has no say in the scale
    network = MLPClassifier((64,), learning_rate_init=3e-3, alpha=1e-3, batch_size=64, random_state=SEED)
    scaled = {name: (scaler.transform(x), y) for name, (x, y) in parts.items() if name != "test"}
    curve = Curve()
    for epoch in range(1, epochs + 1):
        network.partial_fit(*scaled["train"], classes=CLASSES)
        curve.loss.append(float(network.loss_))
        curve.train_accuracy.append(float(network.score(*scaled["train"])))
        curve.validation_accuracy.append(float(network.score(*scaled["validation"])))
        print(
            f"epoch {epoch:3d}/{epochs}  loss {curve.loss[-1]:.4f}"
            f"  train {curve.train_accuracy[-1]:.3f}  validation {curve.validation_accuracy[-1]:.3f}",
            flush=True,
        )
        if stop.signal is not None:
            print(f"{stop.signal.name}: saving what {epoch} epochs have taught", flush=True)
            break
    # Scaler and network together, so that whoever loads the model feeds it raw pixels.
    return Pipeline([("scale", scaler), ("network", network)]), curve


def draw_curve(curve: Curve, path: Path) -> None:
    """Loss on the left axis, accuracies on the right one."""
    epochs = range(1, len(curve.loss) + 1)
    figure, left = plt.subplots(figsize=(7, 4.2), layout="constrained")
    right = left.twinx()
    left.plot(epochs, curve.loss, color="tab:gray", label="loss (training)")
    right.plot(epochs, curve.train_accuracy, color="tab:blue", label="accuracy (training)")
    right.plot(epochs, curve.validation_accuracy, color="tab:orange", label="accuracy (validation)")
    left.set(xlabel="epoch", ylabel="loss", ylim=(0, None), title="Handwritten digits: learning curve")
    right.set(ylabel="accuracy", ylim=(0, 1.02))
    left.legend(handles=[*left.lines, *right.lines], loc="center right")
    figure.savefig(path, dpi=120)
    plt.close(figure)


def draw_confusion(expected: np.ndarray, answered: np.ndarray, path: Path) -> None:
    """Which digit was taken for which, on the held-out part."""
    figure, axes = plt.subplots(figsize=(5.4, 5), layout="constrained")
    ConfusionMatrixDisplay.from_predictions(expected, answered, ax=axes, cmap="Blues", colorbar=False)
    axes.set(title="Held-out digits", xlabel="answered", ylabel="is")
    figure.savefig(path, dpi=120)
    plt.close(figure)


def positive(text: str) -> int:
    """An argument that must be at least 1."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return number


def main() -> int:
    """Train, look at the held-out part once, and leave everything in `--out`."""
    parser = argparse.ArgumentParser(description="Train a digit classifier on the CPU.")
    parser.add_argument("--out", type=Path, default=Path("results"), help="folder for the results")
    parser.add_argument("--epochs", type=positive, default=40)
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    stop = Stop()

    digits = load_digits()
    parts = split(digits.data, digits.target)
    sizes = {name: len(y) for name, (_, y) in parts.items()}
    print("pictures: " + ", ".join(f"{count} {name}" for name, count in sizes.items()), flush=True)

    began = time.perf_counter()
    model, curve = train(parts, options.epochs, stop)
    seconds = time.perf_counter() - began

    test_x, test_y = parts["test"]
    answered = model.predict(test_x)
    accuracy = float(accuracy_score(test_y, answered))
    f1 = f1_score(test_y, answered, average=None, labels=CLASSES)
    print(f"held out: {accuracy:.4f} of {len(test_y)} digits read correctly", flush=True)

    joblib.dump(model, options.out / "model.joblib")
    draw_curve(curve, options.out / "learning_curve.png")
    draw_confusion(test_y, answered, options.out / "confusion.png")
    metrics = {
        "test_accuracy": accuracy,
        "test_f1_per_digit": {str(digit): round(float(f1[digit]), 4) for digit in CLASSES},
        "pictures": sizes,
        "epochs": len(curve.loss),
        "epochs_wanted": options.epochs,
        "interrupted_by": stop.signal.name if stop.signal else None,
        "train_seconds": round(seconds, 2),
        "seed": SEED,
        "versions": {
            "python": platform.python_version(),
            "scikit-learn": sklearn.__version__,
            "numpy": np.__version__,
            "matplotlib": matplotlib.__version__,
        },
    }
    # Last: where this file lies, the others are complete.
    (options.out / "metrics.json").write_text(json.dumps(metrics, indent=2) + "\n", encoding="utf-8")
    return 0 if stop.signal is None else 128 + stop.signal


if __name__ == "__main__":
    sys.exit(main())
