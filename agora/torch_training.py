"""Training a torch module: reproducible, resumable, kept in plain files.

After each epoch everything that the next one needs is in one safetensors file, written beside and
renamed: a killed run goes on from its last whole epoch and, on a CPU, ends with the very weights of
a run that was left alone. Each epoch's batches and random numbers depend on the seed and the epoch
only, so that nothing else has to be remembered, and a process of several can take its own share.
"""

from __future__ import annotations

import json
import logging
import math
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from agora.stores.durable import write_whole

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

Batch: TypeAlias = "tuple[Tensor, ...]"
Batches: TypeAlias = Callable[[int], Sequence[Batch]]
"""Batches of an epoch: the same for the same number, whenever they are asked for."""
Loss: TypeAlias = "Callable[[nn.Module, Batch], Tensor]"
Later: TypeAlias = "Callable[[nn.Module], float]"
"""Loss on rows later than all that are learned from."""

CHECKPOINT = "checkpoint.safetensors"
DEVICES = Path("/dev")
_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Training:
    """How a module is trained: AdamW, a warm-up, then a cosine down to nothing."""

    epochs: int = 20  # The cosine ends with the last one; early stopping may come before.
    learning_rate: float = 2e-3  # Highest, after the warm-up.
    weight_decay: float = 1e-2  # AdamW's default.
    warm_up: float = 0.1  # Share of all steps; the first gradients are of random weights.
    patience: int = 5  # Epochs without a better later loss before stopping.
    longest_gradient: float = 1.0  # A batch with one strange row moves no further than others.
    seed: int = 0  # Equal seeds give equal weights on a CPU.
    threads: int = (
        1  # Two were hardly quicker on small batches, six times slower on a busy machine.
    )


@dataclass(slots=True)
class Progress:
    """How far a training is.

    Attributes:
        epoch: Epochs that are done.
        best_epoch: Epochs after which the later loss was lowest.
        losses: Later loss after each epoch; empty where there are no later rows.
    """

    epoch: int = 0
    best_epoch: int = 0
    losses: list[float] = field(default_factory=list)


def has_gpu() -> bool:
    """Whether this machine has a GPU; asking torch would cost three seconds in each process."""
    return any(DEVICES.glob("nvidia[0-9]*"))


def device() -> torch.device:
    """The GPU where there is one."""
    import torch

    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def fit(
    module: nn.Module,
    loss: Loss,
    batches: Batches,
    params: Training,
    *,
    later: Later | None = None,
    checkpoints: Path | None = None,
    run: str = "",
) -> Progress:
    """Train; the module ends, on its device, with the weights of its best epoch.

    Args:
        module: On the device on which it is to be trained.
        loss: Mean loss of a batch, whose tensors are on the module's device.
        batches: Batches of each epoch.
        params: How.
        later: Loss by which the best epoch is chosen; without it the last one is kept.
        checkpoints: Folder that keeps the progress; without it a killed run starts over.
        run: What is trained on: a checkpoint of other rows or parameters is not gone on from.
    """
    import torch

    optimiser = torch.optim.AdamW(
        module.parameters(), lr=params.learning_rate, weight_decay=params.weight_decay
    )
    identity = sha256(json.dumps([run, asdict(params), _shapes(module)]).encode()).hexdigest()
    path = checkpoints / CHECKPOINT if checkpoints else None
    progress, best = _resume(path, identity, module, optimiser)
    with _own_random_numbers(params.threads):
        while progress.epoch < params.epochs and not _out_of_patience(progress, params, later):
            torch.manual_seed(params.seed * 1_000_003 + progress.epoch)
            _train(module, loss, batches(progress.epoch), optimiser, progress.epoch, params)
            progress.epoch += 1
            if _improves(module, progress, later):
                best = {name: value.detach().clone() for name, value in module.state_dict().items()}
            if path:
                _save(path, identity, module, optimiser, progress, best)
    module.load_state_dict(best)
    module.eval()
    return progress


def _train(
    module: nn.Module,
    loss: Loss,
    batches: Sequence[Batch],
    optimiser: torch.optim.Optimizer,
    epoch: int,
    params: Training,
) -> None:
    import torch

    module.train()
    place = next(module.parameters()).device
    for number, batch in enumerate(batches):
        done = (epoch + (number + 1) / len(batches)) / params.epochs
        for group in optimiser.param_groups:
            group["lr"] = params.learning_rate * _rate(done, params.warm_up)
        optimiser.zero_grad(set_to_none=True)
        loss(module, tuple(part.to(place, non_blocking=True) for part in batch)).backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(module.parameters(), params.longest_gradient)
        optimiser.step()


def _rate(done: float, warm_up: float) -> float:
    """Share of the highest learning rate after this share of all steps."""
    if done < warm_up:
        return done / warm_up
    return 0.5 * (1 + math.cos(math.pi * (done - warm_up) / (1 - warm_up)))


def _improves(module: nn.Module, progress: Progress, later: Later | None) -> bool:
    """Measure the later loss; whether this epoch's weights are the ones to keep."""
    import torch

    if later is not None:
        module.eval()
        with torch.inference_mode():
            progress.losses.append(later(module))
        if progress.losses[-1] > min(progress.losses):
            return False
    progress.best_epoch = progress.epoch
    return True


def _out_of_patience(progress: Progress, params: Training, later: Later | None) -> bool:
    return later is not None and progress.epoch - progress.best_epoch >= params.patience


def _save(
    path: Path,
    identity: str,
    module: nn.Module,
    optimiser: torch.optim.Optimizer,
    progress: Progress,
    best: dict[str, Tensor],
) -> None:
    tensors = {
        **_named("weights", module.state_dict().items()),
        **_named("best", best.items()),
        **{
            f"optimiser/{number}/{name}": value
            for number, values in optimiser.state_dict()["state"].items()
            for name, value in values.items()
        },
    }
    save_tensors(path, tensors, {"run": identity, "progress": json.dumps(asdict(progress))})


def _named(prefix: str, tensors: Iterable[tuple[str, Tensor]]) -> dict[str, Tensor]:
    return {f"{prefix}/{name}": value for name, value in tensors}


def save_tensors(path: Path, tensors: dict[str, Tensor], about: dict[str, str]) -> None:
    """Write a safetensors file, whole or not at all."""
    from safetensors.torch import save

    # Copies, because weights that share memory are refused.
    copies = {name: value.detach().cpu().clone() for name, value in tensors.items()}
    write_whole(path, save(copies, about))


def load_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Read what `save_tensors` wrote, to the CPU.

    Raises:
        OSError: There is no such file.
        ValueError: The file is torn.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            about = dict(file.metadata() or {})
            return {name: file.get_tensor(name) for name in file.keys()}, about  # noqa: SIM118
    except SafetensorError as error:
        raise ValueError(f"{path}: not a whole safetensors file: {error}") from error


def _resume(
    path: Path | None, identity: str, module: nn.Module, optimiser: torch.optim.Optimizer
) -> tuple[Progress, dict[str, Tensor]]:
    """Progress and best weights of a checkpoint of this very run, else of a fresh start."""
    fresh = {name: value.detach().clone() for name, value in module.state_dict().items()}
    if path is None or not path.exists():
        return Progress(), fresh
    try:
        tensors, about = load_tensors(path)
    except ValueError as error:
        _LOG.warning("%s; training starts over", error)
        return Progress(), fresh
    if about.get("run") != identity:
        _LOG.warning("%s: of other rows or parameters; training starts over", path)
        return Progress(), fresh
    parts: dict[str, dict[str, Tensor]] = {"weights": {}, "best": {}, "optimiser": {}}
    for name, value in tensors.items():
        part, _, rest = name.partition("/")
        parts[part][rest] = value
    module.load_state_dict(parts["weights"])
    state: dict[int, dict[str, Tensor]] = {}
    for name, value in parts["optimiser"].items():
        number, _, moment = name.partition("/")
        state.setdefault(int(number), {})[moment] = value
    optimiser.load_state_dict({**optimiser.state_dict(), "state": state})
    return Progress(**json.loads(about["progress"])), parts["best"]


def _shapes(module: nn.Module) -> list[Any]:
    return [[name, list(value.shape)] for name, value in module.state_dict().items()]


@contextmanager
def _own_random_numbers(threads: int) -> Iterator[None]:
    """Leave the process's random numbers and thread count as they were."""
    import torch

    before = torch.get_num_threads()
    with torch.random.fork_rng():
        torch.set_num_threads(min(threads, os.cpu_count() or 1))
        try:
            yield
        finally:
            torch.set_num_threads(before)
