"""The job of a search in PyTorch, written by hand as one would: `bench_torch` starts this beside the engine.

timm's resnetv2_50x1_bit with random weights; the output of its frozen part is cached, the last blocks and the head are
trained on it in channels_last, with SGD, and in bfloat16 by autocast. It runs in an environment of its own, which has
torch, timm, optuna and numpy and nothing of this project. Each line of the standard input is a request, a method of
`Side` with its arguments in JSON; each line of the standard output is the answer.
"""

from __future__ import annotations

import copy
import json
import math
import statistics
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import timm
import torch
from torch import nn

CLASSES = 3
Configuration = dict[str, Any]


class Head(nn.Module):
    """The engine's head: batch norm, dense, batch norm, ReLU, dropout, dense from zeros."""

    def __init__(self, features: int, width: int, dropout: float) -> None:
        super().__init__()
        self.hidden = nn.Linear(features, width)
        self.logits = nn.Linear(width, CLASSES)
        nn.init.xavier_uniform_(self.hidden.weight)
        for zeros in (self.hidden.bias, self.logits.weight, self.logits.bias):
            nn.init.zeros_(zeros)
        norms = (nn.BatchNorm1d(size, eps=1e-3) for size in (features, width))
        self.layers = nn.Sequential(next(norms), self.hidden, next(norms), nn.ReLU(), nn.Dropout(dropout), self.logits)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        return self.layers(features)


class Model(nn.Module):
    """The last ``depth`` blocks with the norm and the pool behind them, then the head, which is float32 always."""

    def __init__(self, backbone: Any, configuration: Configuration, dtype: str) -> None:
        super().__init__()
        depth = configuration["unfreeze_depth"]
        self.tail = copy.deepcopy(tail_of(backbone, depth)).requires_grad_(True)
        self.head = Head(backbone.num_features, configuration["head_width"], configuration["dropout"])
        self.in_bfloat16 = dtype == "bfloat16" and depth > 0

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        with torch.autocast("cpu", torch.bfloat16, enabled=self.in_bfloat16):
            # Autocast alone would leave the residual stream in float32, which takes longer.
            features = self.tail(values.bfloat16() if self.in_bfloat16 else values)
        return self.head(features.float())


def blocks_of(backbone: Any) -> list[nn.Module]:
    return [block for stage in backbone.stages for block in stage.blocks]


def pooled(backbone: Any) -> nn.Sequential:
    return nn.Sequential(backbone.norm, nn.AdaptiveAvgPool2d(1), nn.Flatten())


def tail_of(backbone: Any, depth: int) -> nn.Sequential:
    return nn.Sequential(*blocks_of(backbone)[-depth:], pooled(backbone)) if depth else nn.Sequential()


class Training:
    """One model on one fold."""

    def __init__(self, side: Side, configuration: Configuration, fold: int, dtype: str) -> None:
        self.side, self.configuration, self.fold = side, configuration, fold
        self.values = side.values[configuration["unfreeze_depth"]]
        self.model = Model(side.backbone, configuration, dtype).to(memory_format=torch.channels_last)
        self.optimizer = torch.optim.SGD(self.model.parameters(), lr=0.0, momentum=0.9)

    def _batch(self, rows: np.ndarray) -> torch.Tensor:
        # Stored as [rows, height, width, channels], which is what channels_last is in memory.
        values = torch.from_numpy(self.values[rows])
        return (values.permute(0, 3, 1, 2) if values.ndim == 4 else values).float()

    def train(self, epoch: int, steps: int, full_epochs: int) -> float:
        """One epoch, balanced as the engine's are; its seconds."""
        start = self.side.clock()
        side, head = self.side, self.model.head
        training = side.folds[self.fold][0]
        share = 1.0 / np.bincount(side.labels[training], minlength=CLASSES)[side.labels[training]]
        images = side.rng.choice(training, (steps, side.batch), p=share / share.sum())
        views = side.offsets[images] + side.rng.integers(np.diff(side.offsets)[images])
        labels = torch.from_numpy(side.labels[images])
        self.model.train()
        for step in range(steps):
            done = (epoch - 1) * steps + step + 1
            warm, full = min(full_epochs * steps / 5, steps), full_epochs * steps
            cosine = 0.5 * (1 + math.cos(math.pi * max(0.0, (done - warm) / (full + 1 - warm))))
            for group in self.optimizer.param_groups:
                group["lr"] = self.configuration["learning_rate"] * min(1.0, done / warm) * cosine
            penalty = head.hidden.weight.square().sum() + head.logits.weight.square().sum()
            loss = nn.functional.cross_entropy(self.model(self._batch(views[step])), labels[step])
            (loss + self.configuration["l2"] * penalty).backward()
            self.optimizer.step()
            self.optimizer.zero_grad()
        return self.side.clock() - start

    def validate(self) -> tuple[float, float]:
        """The mean one-vs-rest AUC of the fold's validation images, and the seconds that it took."""
        start = self.side.clock()
        held = self.side.folds[self.fold][1]
        self.model.eval()
        with torch.inference_mode():
            parts = [self.model(self._batch(self.side.offsets[part])) for part in chunks(held, 64)]
        scores = torch.cat(parts).softmax(dim=1).numpy()
        return macro_auc(self.side.labels[held], scores), self.side.clock() - start

    def state(self) -> dict[str, Any]:
        return copy.deepcopy({"model": self.model.state_dict(), "optimizer": self.optimizer.state_dict()})

    def restore(self, state: dict[str, Any]) -> None:
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])


def chunks(rows: np.ndarray, size: int) -> Iterator[np.ndarray]:
    return (rows[start : start + size] for start in range(0, len(rows), size))


def macro_auc(labels: np.ndarray, scores: np.ndarray) -> float:
    """Mean over the classes that are there of the share of pairs that are in order, ties a half."""
    areas = []
    for label in range(CLASSES):
        inside, outside = scores[labels == label, label], scores[labels != label, label]
        if len(inside) and len(outside):
            areas.append(0.5 + 0.5 * np.sign(inside[:, None] - outside[None, :]).mean())
    return float(np.mean(areas))


class Side:
    """What the requests do."""

    def __init__(self) -> None:
        # As TensorFlow does in its threads.
        torch.set_flush_denormal(True)
        torch.manual_seed(0)
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self.rng = np.random.default_rng(0)
        self.matrix = torch.randn(2048, 2048)
        backbone = timm.create_model("resnetv2_50x1_bit", pretrained=False, num_classes=0)
        self.backbone: Any = backbone.to(memory_format=torch.channels_last).requires_grad_(False)
        self.values: dict[int, np.ndarray] = {}
        self.labels = self.offsets = np.empty(0, np.int64)
        self.folds: list[tuple[np.ndarray, np.ndarray]] = []
        self.batch = 0
        self.training: Training | None = None
        self.clock = time.perf_counter

    def one_thread(self) -> None:
        """From now on compute in one thread, and count its CPU time instead of wall time."""
        torch.set_num_threads(1)
        self.clock = time.process_time

    def versions(self) -> dict[str, str]:
        return {each.__name__: str(each.__version__) for each in (torch, timm, optuna)}

    def data(self, folder: str, folds: int, batch: int) -> None:
        """Labels, offsets of the images' views and folds, as the engine has them."""

        def read(name: str) -> np.ndarray:
            return np.load(Path(folder) / f"{name}.npy")

        self.labels, self.offsets, self.batch = read("labels"), read("offsets"), batch
        self.folds = [(read(f"training-{fold}"), read(f"validation-{fold}")) for fold in range(folds)]

    def given(self, depth: int, file: str) -> None:
        """Take a depth's cached values instead of computing them."""
        self.values = {depth: np.load(file)}

    def fill(self, depths: list[int], file: str, batch: int) -> float:
        """Cache the frozen part's output for views, float32 pixels [views, height, width, 3]; its seconds."""
        start = time.perf_counter()
        pixels, blocks = np.load(file), blocks_of(self.backbone)
        kept: dict[int, list[np.ndarray]] = {depth: [] for depth in depths}
        last, pool = len(blocks) - min(depths), pooled(self.backbone)
        with torch.inference_mode():
            for part in chunks(pixels, batch):
                x = self.backbone.stem(torch.from_numpy(part).permute(0, 3, 1, 2))
                for position, block in enumerate(blocks[:last]):
                    if (depth := len(blocks) - position) in kept:
                        kept[depth].append(x.permute(0, 2, 3, 1).half().numpy())
                    x = block(x)
                if 0 in kept:
                    kept[0].append(pool(x).numpy())
        self.values = {depth: np.concatenate(parts) for depth, parts in kept.items()}
        return time.perf_counter() - start

    def tail(self, configuration: Configuration, dtype: str) -> float:
        """Make a model of the first fold, to be trained epoch by epoch; its seconds."""
        start = time.perf_counter()
        self.training = Training(self, configuration, 0, dtype)
        return time.perf_counter() - start

    def epoch(self, number: int, steps: int, full_epochs: int) -> list[float]:
        """Train and validate that model; the seconds of each."""
        assert self.training is not None
        return [self.training.train(number, steps, full_epochs), self.training.validate()[1]]

    def product(self, dtype: str) -> float:
        """Operations a second of a product of 2048 × 2048 matrices, of three."""
        matrix = self.matrix.to(getattr(torch, dtype))
        seconds = []
        for _ in range(3):
            start = self.clock()
            torch.mm(matrix, matrix)
            seconds.append(self.clock() - start)
        return 2 * 2048**3 / statistics.median(seconds)

    def search(self, trials: list[dict[str, Any]], steps: int, full_epochs: int, dtype: str) -> dict[str, float]:
        """Train trials on all folds, each told to Optuna; a promotion goes on with its parent's states.

        The engine's trials in its order: Optuna's own pruner would stop others, after other epochs.
        """
        start = time.perf_counter()
        study = optuna.create_study(direction="maximize")
        states: dict[int, list[dict[str, Any]]] = {}
        for each in trials:
            study.enqueue_trial(each["values"])
            asked = study.ask()
            values = {name: asked.suggest_float(name, value, value) for name, value in each["values"].items()}
            configuration = values | {name: int(values[name]) for name in ("unfreeze_depth", "head_width")}
            scores, left = [], []
            for fold in range(len(self.folds)):
                training = Training(self, configuration, fold, dtype)
                if each["initial_epoch"]:
                    training.restore(states[each["configuration"]][fold])
                for epoch in range(each["initial_epoch"] + 1, each["epochs"] + 1):
                    training.train(epoch, steps, full_epochs)
                    score, _ = training.validate()
                scores.append(score)
                if each["epochs"] < full_epochs:
                    left.append(training.state())
            states[each["configuration"]] = left
            study.tell(asked, float(np.mean(scores)))
        return {"seconds": time.perf_counter() - start, "objective": study.best_value}


def main() -> None:
    """Answer requests until the input ends."""
    answers = sys.stdout
    sys.stdout = sys.stderr  # nothing but answers may be among them
    side = Side()
    for line in sys.stdin:
        name, arguments = json.loads(line)
        answers.write(json.dumps(getattr(side, name)(**arguments)) + "\n")
        answers.flush()


if __name__ == "__main__":
    main()
