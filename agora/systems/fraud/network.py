"""A network on the card's recent payments: attention over the steps, beside the light inputs.

It sees what counts over windows cannot say: the order of payments, how each differs from the
present one. Small enough for one payment on a CPU while the customer waits. Frauds are one in a
hundred or a thousand: it learns from all of them and a part of the honest payments, by focal loss
(Lin et al., 2017); `raw` takes both out of the log-odds again.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields
from functools import cached_property
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from agora.imbalance import choose_rows, focal_loss, shift, without_focus
from agora.systems.fraud.attention import Forward, Shape, build
from agora.systems.fraud.features import INPUTS
from agora.systems.fraud.sequence import (
    SEQUENCE_COLUMNS,
    STEP_INPUTS,
    SUMMARIES,
    Steps,
    steps,
)
from agora.torch_training import Training, device, fit, has_gpu

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from torch import Tensor, nn

Array = np.ndarray[Any, Any]

WIDTH = len(INPUTS)
STATICS = WIDTH + len(SUMMARIES)
EVENT_AT = WIDTH + SEQUENCE_COLUMNS.index("event_at")
# A matrix product depends in its last bits on how many rows it has. In float64 and rounded, one row
# scores as it does among many: parity and trace compare scores for equality.
DIGITS = 6
FAR = 6.0  # Standard deviations beyond which an input says nothing more.
ROWS_AT_ONCE = 512  # What fits the processor's caches: quicker than torch by a third.
ROWS_ON_GPU = 65_536  # Bounds the memory of a large batch.
FEW_ROWS = 64  # Not worth the way to a GPU.
WEIGHTS, LEARNED = "network.safetensors", "network.json"
WEIGHT, SCALE = "layers/", "scale/"


@dataclass(frozen=True, slots=True)
class NetworkParams:
    """How the network is built and trained; each value with its reason."""

    width: int = 32  # Of a step; 64 doubles the time of a row.
    heads: int = 4  # Each looks for one kind of past payment.
    hidden: int = 128  # Of the light inputs; with half of it left out, better than 64 with a fifth.
    dropout: float = 0.5  # Frauds are hundreds, weights fifty thousand.
    input_dropout: float = 0.2  # No single input may carry a payment.
    gamma: float = 1.0  # Focal loss: how much what is already right counts less; 2 in the paper.
    alpha: float = 0.5  # Weight of frauds against honest payments, after the choice of rows.
    honest_per_fraud: int = 30  # More change little but the time.
    fewest_honest: int = 20_000  # What is usual is learned from honest payments.
    most_honest: int = 40_000  # Bounds the time: some ten seconds on two cores.
    batch: int = 512  # Some frauds in each.
    epochs: int = 10  # 15 and 20 gained nothing; the cosine ends with the last.
    learning_rate: float = 2e-3  # A quarter of it learned too little in so many epochs.
    weight_decay: float = 0.05  # Above AdamW's default, as frauds are few.
    patience: int = 4  # Epochs without a better later loss before stopping.
    later_share: float = 0.15  # Latest share of the span, for early stopping.
    frauds_to_choose: int = 300  # Fewer later frauds are worth more to learn from.
    seed: int = 0

    def shape(self, flags: int) -> Shape:
        """Sizes of the layers, with so many flags for inputs that are unknown."""
        return Shape(
            statics=STATICS + flags,
            step_inputs=len(STEP_INPUTS),
            width=self.width,
            heads=self.heads,
            hidden=self.hidden,
            dropout=self.dropout,
            input_dropout=self.input_dropout,
        )

    @property
    def training(self) -> Training:
        """The part that is common to all networks."""
        names = {field.name for field in fields(Training)} & {f.name for f in fields(self)}
        return Training(**{name: getattr(self, name) for name in names})


class SequenceNetwork:
    """Log-odds of fraud from decoded payments with their cards' sequences.

    Args:
        weights: Of the layers, by name.
        scale: What standardises the inputs; the shift of the log-odds.
        params: How it was trained.
    """

    def __init__(
        self, weights: dict[str, Array], scale: dict[str, Array], params: NetworkParams
    ) -> None:
        self.weights, self.scale, self.params = weights, scale, params
        exact = {name: values.astype(np.float64) for name, values in weights.items()}
        self._by_numpy = Forward(exact, params.shape(int(scale["flagged"].sum())))

    @classmethod
    def fit(
        cls,
        matrix: Array,
        labels: Array,
        params: NetworkParams,
        *,
        checkpoints: Path | None = None,
    ) -> Self:
        """Learn from decoded payments.

        Args:
            matrix: The light model's inputs, then `SEQUENCE_COLUMNS`, (n, width).
            labels: 1 for a fraud.
            params: How.
            checkpoints: Folder that keeps the progress; a killed training goes on from there.
        """
        import torch

        rows, kept = choose_rows(
            labels, params.honest_per_fraud, params.fewest_honest, params.most_honest, params.seed
        )
        matrix, labels = matrix[rows], labels[rows]
        seen = steps(matrix[:, WIDTH:])
        scale = _learn_scale(matrix, seen)
        scale["shift"] = np.array([shift(kept, params.alpha)])
        with torch.random.fork_rng():
            torch.manual_seed(params.seed)
            module = build(params.shape(int(scale["flagged"].sum()))).to(device())
        arrays = (*_inputs(matrix, seen, scale), labels.astype(np.float32))
        inputs = tuple(torch.from_numpy(array) for array in arrays)
        early, late = _split(matrix[:, EVENT_AT], labels, params)
        fit(
            module,
            lambda net, batch: focal_loss(net(*batch[:-1]), batch[-1], params.gamma, params.alpha),
            lambda epoch: _batches(inputs, early, params, epoch),
            params.training,
            later=None if late is None else lambda net: _later_loss(net, inputs, late, params),
            checkpoints=checkpoints,
            run=sha256(np.ascontiguousarray(matrix).tobytes() + labels.tobytes()).hexdigest(),
        )
        return cls({k: v.cpu().numpy() for k, v in module.state_dict().items()}, scale, params)

    def raw(self, matrix: Array) -> Array:
        """Log-odds of the rows, (n,)."""
        on_gpu = len(matrix) > FEW_ROWS and has_gpu()
        at_once = ROWS_ON_GPU if on_gpu else ROWS_AT_ONCE
        if len(matrix) > at_once:
            parts = range(0, len(matrix), at_once)
            return np.concatenate([self.raw(matrix[i : i + at_once]) for i in parts])
        inputs = _inputs(matrix, steps(matrix[:, WIDTH:]), self.scale, np.float64)
        logits = self._by_torch(inputs) if on_gpu else self._by_numpy(*inputs)
        found = without_focus(logits, self.params.gamma) + self.scale["shift"]
        return np.round(found, DIGITS)

    def save(self, folder: Path) -> None:
        """Write the weights as safetensors, the parameters as JSON."""
        from safetensors.numpy import save_file

        parts = {WEIGHT: self.weights, SCALE: self.scale}
        named = {part + name: v for part, values in parts.items() for name, v in values.items()}
        save_file(named, folder / WEIGHTS)
        (folder / LEARNED).write_text(json.dumps(asdict(self.params), indent=1))

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what `save` wrote."""
        from safetensors.numpy import load_file

        params = NetworkParams(**json.loads((folder / LEARNED).read_text()))
        parts: dict[str, dict[str, Array]] = {WEIGHT: {}, SCALE: {}}
        for name, values in load_file(folder / WEIGHTS).items():
            part = WEIGHT if name.startswith(WEIGHT) else SCALE
            parts[part][name.removeprefix(part)] = values
        return cls(parts[WEIGHT], parts[SCALE], params)

    def _by_torch(self, inputs: tuple[Array, ...]) -> Array:
        """Logits of many rows, on the GPU."""
        import torch

        with torch.inference_mode():
            place = next(self._module.parameters()).device
            logits = self._module(*(torch.from_numpy(part).to(place) for part in inputs))
        found: Array = logits.cpu().numpy()
        return found

    @cached_property
    def _module(self) -> nn.Module:
        import torch

        module = build(self.params.shape(int(self.scale["flagged"].sum())))
        module.load_state_dict({name: torch.from_numpy(v) for name, v in self.weights.items()})
        return module.double().to(device()).eval()


def _split(event_at: Array, labels: Array, params: NetworkParams) -> tuple[Array, Array | None]:
    """Rows to learn from, and later ones that choose the epoch where they hold enough frauds."""
    late = event_at >= np.quantile(event_at, 1 - params.later_share)
    if labels[late].sum() < params.frauds_to_choose:
        return np.arange(len(labels)), None
    return np.flatnonzero(~late), np.flatnonzero(late)


def _batches(
    inputs: tuple[Tensor, ...], rows: Array, params: NetworkParams, epoch: int
) -> Sequence[tuple[Tensor, ...]]:
    import torch

    order = np.random.default_rng((params.seed, epoch)).permutation(rows)
    cuts = np.array_split(order, max(1, len(order) // params.batch))
    return [tuple(part[torch.from_numpy(cut)] for part in inputs) for cut in cuts]


def _later_loss(
    module: nn.Module, inputs: tuple[Tensor, ...], rows: Array, params: NetworkParams
) -> float:
    import torch

    place = next(module.parameters()).device
    total = 0.0
    for cut in np.array_split(rows, len(rows) // ROWS_ON_GPU + 1):
        *parts, labels = (part[torch.from_numpy(cut)].to(place) for part in inputs)
        loss = focal_loss(module(*parts), labels, params.gamma, params.alpha)
        total += float(loss) * len(cut)
    return total / len(rows)


def _statics(matrix: Array, seen: Steps) -> Array:
    """Light inputs and summaries on a scale without long tails, NaN where unknown."""
    found = np.concatenate([matrix[:, :WIDTH], seen.summary], axis=1)
    return np.asarray(np.copysign(np.log1p(np.abs(found)), found))


def _learn_scale(matrix: Array, seen: Steps) -> dict[str, Array]:
    """What standardises the inputs."""
    found = _statics(matrix, seen)
    missing = np.isnan(found)
    found[missing] = 0.0
    count = np.maximum((~missing).sum(axis=0), 1)
    mean = found.sum(axis=0) / count
    spread = np.sqrt(np.maximum((found**2).sum(axis=0) / count - mean**2, 0.0))
    valid = seen.inputs[seen.known]
    share = missing.mean(axis=0)
    return {
        "mean": mean,
        "inverse": np.where(spread > 1e-6, 1 / np.maximum(spread, 1e-6), 0.0),
        # One that is always or never missing tells nothing.
        "flagged": (share > 1e-3) & (share < 1 - 1e-3),
        "step_mean": valid.mean(axis=0),
        "step_inverse": 1 / np.maximum(valid.std(axis=0), 1e-3),
    }


def _inputs(
    matrix: Array, seen: Steps, scale: dict[str, Array], kind: type = np.float32
) -> tuple[Array, ...]:
    """The network's arguments: statics, steps, known."""
    found = _statics(matrix, seen)
    flags = np.isnan(found[:, scale["flagged"]])
    found -= scale["mean"]
    found *= scale["inverse"]
    np.clip(found, -FAR, FAR, out=found)
    found[found != found] = 0.0  # NaN: at the mean.
    inputs = seen.inputs - scale["step_mean"]
    inputs *= scale["step_inverse"]
    statics: Array = np.concatenate([found, flags], axis=1, dtype=kind)
    return statics, inputs.astype(kind, copy=False), seen.known
