"""The loop that every training runs in: steps, averaged weights, judging, going on.

What is drawn in a step depends on the seed and the number of the step only. A training
that was killed and taken up again therefore ends with the same weights as one that was
left alone.
"""

from __future__ import annotations

import copy
import csv
import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Protocol

import numpy as np
import torch

from wyckflow.errors import TrainingError
from wyckflow.ml.checkpoint import (
    Checkpoint,
    CheckpointInfo,
    load_checkpoint,
    save_checkpoint,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from numpy.typing import NDArray
    from torch import Tensor, nn

    from wyckflow.ml.training.config import LoopConfig

STATE_KIND: Final = "training-state"
STATE_NAME: Final = "state.npz"
LOG_NAME: Final = "log.csv"
_SORTED_BATCHES: Final = 8


class Task(Protocol):
    """Something to train."""

    name: str
    module: nn.Module
    training: NDArray[np.int64]
    """Rows to learn from."""
    n_sites: NDArray[np.int64]
    """Length of every row, so that rows of like length share a batch."""
    seed: int
    config: dict[str, Any]
    """What a state must have been made with to be taken up again."""

    def loss(self, rows: NDArray[np.int64], generator: np.random.Generator) -> Tensor:
        """Return the loss of a batch."""
        ...

    def validate(self) -> dict[str, float]:
        """Return figures on the validation rows; ``score`` is to become small."""
        ...


@dataclass(frozen=True, slots=True)
class Progress:
    """Where a training stands.

    Attributes
    ----------
    task
        What is trained.
    step, n_steps
        Steps done, and in all (fewer if it stops early).
    figures
        Of the last look at the validation rows, if this step had one.
    """

    task: str
    step: int
    n_steps: int
    figures: dict[str, float] | None = None


@dataclass(slots=True)
class History:
    """What a training did.

    Attributes
    ----------
    looks
        Figures on the validation rows, one entry per look, with step and loss.
    best_step
        After which the kept weights were reached.
    n_resumed
        Steps that an earlier, interrupted run had done.
    """

    looks: list[dict[str, float]] = field(default_factory=list)
    best_step: int = 0
    n_resumed: int = 0

    @property
    def best(self) -> dict[str, float]:
        """The figures of the kept weights."""
        return next(look for look in self.looks if look["step"] == self.best_step)


def run_training(
    task: Task,
    config: LoopConfig,
    *,
    folder: Path | None = None,
    report: Callable[[Progress], None] | None = None,
) -> History:
    """Train, and leave the best averaged weights in the module.

    Parameters
    ----------
    task
        What to train.
    config
        How long, how fast, and when to stop.
    folder
        Where to keep the log and a state from which an interrupted training goes on;
        nowhere by default.
    report
        Is told of every step.

    Returns
    -------
    History
        What was done.

    Raises
    ------
    TrainingError
        If the loss is no number any more, or the state in the folder is of another
        training.
    """
    run = _Run(task, config, folder)
    with torch.random.fork_rng():
        run.resume()
        while not run.is_done:
            for rows in run.batches_left():
                run.step(rows)
                if report:
                    report(Progress(task.name, run.done, run.n_steps))
            figures = run.look_if_due()
            if report and figures:
                report(Progress(task.name, run.done, run.n_steps, figures))
        run.restore_best()
    return run.history


def plan_epoch(
    rows: NDArray[np.int64],
    n_sites: NDArray[np.int64],
    batch_size: int,
    generator: np.random.Generator,
) -> list[NDArray[np.int64]]:
    """Cut rows into batches of like length, in random order.

    Parameters
    ----------
    rows
        What to learn from.
    n_sites
        Length of every row.
    batch_size
        Rows per batch; a smaller rest is left for another epoch, unless it is all.
    generator
        Decides.
    """
    shuffled = generator.permutation(rows)
    batches = []
    stride = batch_size * _SORTED_BATCHES
    for start in range(0, len(shuffled), stride):
        some = shuffled[start : start + stride]
        some = some[np.argsort(n_sites[some], kind="stable")]
        batches += [
            generator.permutation(some[at : at + batch_size])
            for at in range(0, len(some), batch_size)
        ]
    whole = [batch for batch in batches if len(batch) == batch_size] or batches[:1]
    return [whole[index] for index in generator.permutation(len(whole)).tolist()]


class _Run:
    """A training while it goes on."""

    def __init__(self, task: Task, config: LoopConfig, folder: Path | None) -> None:
        self.task, self.config, self.folder = task, config, folder
        self.module = task.module
        self.optimiser = torch.optim.AdamW(
            self.module.parameters(),
            lr=config.learning_rate,
            weight_decay=config.weight_decay,
            betas=(0.9, 0.98),
            fused=True,
        )
        self.averaged = copy.deepcopy(self.module.state_dict())
        self.best = copy.deepcopy(self.averaged)
        self.best_score = math.inf
        self.done = 0
        self.stopped = False
        self.losses: list[float] = []
        self.history = History()
        self.steps_per_epoch = len(self._plan(0))
        self.n_steps = self.steps_per_epoch * config.n_epochs
        self.parameters = dict(self.module.named_parameters())

    @property
    def is_done(self) -> bool:
        return self.stopped or self.done >= self.n_steps

    def _plan(self, epoch: int) -> list[NDArray[np.int64]]:
        generator = np.random.default_rng([self.task.seed, 0, epoch])
        return plan_epoch(
            self.task.training, self.task.n_sites, self.config.batch_size, generator
        )

    def batches_left(self) -> Iterator[NDArray[np.int64]]:
        """Yield the batches of this epoch that were not used yet."""
        epoch, used = divmod(self.done, self.steps_per_epoch)
        yield from self._plan(epoch)[used:]

    def step(self, rows: NDArray[np.int64]) -> None:
        """Learn from one batch."""
        torch.manual_seed(self.task.seed * 1_000_003 + self.done)
        generator = np.random.default_rng([self.task.seed, 1, self.done])
        device = next(self.module.parameters()).device.type
        for group in self.optimiser.param_groups:
            group["lr"] = self.config.learning_rate * self._rate()
        # On a GPU half the digits do, at several times the speed.
        with torch.autocast(device, torch.bfloat16, enabled=device == "cuda"):
            loss = self.task.loss(rows, generator)
        value = float(loss.detach())
        if not math.isfinite(value):
            raise TrainingError(
                f"The loss of {self.task.name!r} became {value} in step {self.done}; "
                "give a lower learning rate, or look for absurd values in the dataset."
            )
        self.optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.module.parameters(), self.config.clip)
        self.optimiser.step()
        self.done += 1
        self.losses.append(value)
        self._average()

    def _rate(self) -> float:
        warm = min(1.0, (self.done + 1) / max(self.config.n_warmup_steps, 1))
        cosine = (1 + math.cos(math.pi * self.done / self.n_steps)) / 2
        return warm * (cosine + self.config.final_rate)

    def _average(self) -> None:
        share = 1 - min(self.config.averaging, self.done / (self.done + 20))
        with torch.no_grad():
            for name, value in self.module.state_dict().items():
                if name in self.parameters:
                    self.averaged[name].lerp_(value, share)
                else:
                    self.averaged[name].copy_(value)

    def look_if_due(self) -> dict[str, float] | None:
        """Judge the averaged weights; keep them if they are the best so far."""
        epoch = self.done // self.steps_per_epoch
        if epoch % self.config.epochs_per_validation and self.done < self.n_steps:
            return None
        now = copy.deepcopy(self.module.state_dict())
        self.module.load_state_dict(self.averaged)
        self.module.eval()
        with torch.no_grad():
            torch.manual_seed(self.task.seed)
            figures = self.task.validate()
        self.module.train()
        self.module.load_state_dict(now)
        look = {"step": self.done, "loss": float(np.mean(self.losses)), **figures}
        self.losses.clear()
        self.history.looks.append(look)
        if figures["score"] < self.best_score:
            self.best_score, self.history.best_step = figures["score"], self.done
            self.best = copy.deepcopy(self.averaged)
        waited = [x for x in self.history.looks if x["step"] > self.history.best_step]
        self.stopped = len(waited) >= self.config.patience
        self._save()
        return look

    def restore_best(self) -> None:
        self.module.load_state_dict(self.best)
        self.module.eval()

    # --- states ------------------------------------------------------------------

    def _save(self) -> None:
        """Put down all that is needed to go on."""
        if self.folder is None:
            return
        arrays: dict[str, NDArray[Any]] = {}
        for kind, state in self._states().items():
            arrays |= {f"{kind}/{k}": v.cpu().numpy() for k, v in state.items()}
        progress = {
            "done": self.done,
            "stopped": self.stopped,
            "best_step": self.history.best_step,
            "looks": self.history.looks,
        }
        info = CheckpointInfo(
            kind=STATE_KIND,
            config={
                "task": self.task.config,
                "loop": self.config.model_dump(mode="json"),
            },
            split=progress,
            seed=self.task.seed,
            description=f"Training of {self.task.name} that can go on.",
        )
        save_checkpoint(self.folder / STATE_NAME, Checkpoint(info, arrays))
        with (self.folder / LOG_NAME).open("w", newline="") as stream:
            writer = csv.DictWriter(stream, list(self.history.looks[0]))
            writer.writeheader()
            writer.writerows(self.history.looks)

    def resume(self) -> None:
        """Go on where an interrupted training stopped, if there is one."""
        self.module.train()
        if self.folder is None or not (self.folder / STATE_NAME).exists():
            return
        state = load_checkpoint(self.folder / STATE_NAME, kind=STATE_KIND)
        config = {"task": self.task.config, "loop": self.config.model_dump(mode="json")}
        if state.info.config != config or state.info.seed != self.task.seed:
            raise TrainingError(
                f"{str(self.folder)!r} holds a training with other options or other "
                f"rows than this one of {self.task.name!r}; give another folder, or "
                "empty this one."
            )
        progress = state.info.split
        self.done, self.stopped = progress["done"], progress["stopped"]
        self.history.looks = progress["looks"]
        self.history.best_step = progress["best_step"]
        self.history.n_resumed = self.done
        self.best_score = self.history.best["score"]
        self._start_moments()
        for kind, own in self._states().items():
            for name, value in own.items():
                stored = torch.from_numpy(state.arrays[f"{kind}/{name}"])
                with torch.no_grad():
                    value.copy_(stored)

    def _states(self) -> dict[str, dict[str, Tensor]]:
        """Return all tensors of the run; writing into them changes the run."""
        moments = {
            f"{name}/{key}": value
            for name, parameter in self.parameters.items()
            for key, value in self.optimiser.state[parameter].items()
        }
        return {
            "module": self.module.state_dict(),
            "averaged": self.averaged,
            "best": self.best,
            "optimiser": moments,
        }

    def _start_moments(self) -> None:
        """Let the optimiser make the tensors of its memory."""
        for parameter in self.parameters.values():
            self.optimiser.state[parameter] = {
                "step": torch.tensor(0.0),
                "exp_avg": torch.zeros_like(parameter),
                "exp_avg_sq": torch.zeros_like(parameter),
            }
