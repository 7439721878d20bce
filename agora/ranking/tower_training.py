"""Training of the two towers: batches, the corrected softmax, the choice of the epoch."""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING, Any

import numpy as np

from agora.ranking.tower_inputs import age_input
from agora.torch_training import fit

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from torch import Tensor, nn

    from agora.ranking.tower_inputs import Items
    from agora.ranking.towers import Examples, TowerParams, TwoTower

Array = np.ndarray[Any, Any]

LATER_EXAMPLES = 4_096  # Enough to choose an epoch by.
FEWEST_LATER = 200  # Fewer are worth more to learn from.


def train(
    towers: TwoTower,
    module: nn.Module,
    examples: Examples,
    items: Items,
    checkpoints: Path | None,
) -> None:
    """Train the module in place."""
    import torch

    params = towers.params
    place = next(module.parameters()).device
    content = tuple(torch.from_numpy(part).to(place) for part in towers.item_inputs(items))
    share = np.bincount(examples.taken, minlength=len(items)) / max(len(examples.taken), 1)
    expected = _expected(share, params, len(items)).to(place)
    rows = np.arange(len(examples.taken))
    early, late = _split(rows, params)
    inputs = _inputs(examples)

    def loss(net: nn.Module, batch: tuple[Tensor, ...]) -> Tensor:
        return _loss(net, batch, content, expected, params)

    def later(net: nn.Module) -> float:
        parts = _batches(inputs, late, params, len(items), epoch=-1)
        return sum(float(loss(net, _on(part, place))) for part in parts) / len(parts)

    fit(
        module,
        loss,
        lambda epoch: _batches(inputs, early, params, len(items), epoch),
        params.training,
        later=later if len(late) else None,
        checkpoints=checkpoints,
        run=_identity(towers, examples, items),
    )


def _loss(
    net: nn.Module,
    batch: tuple[Tensor, ...],
    content: tuple[Tensor, ...],
    expected: Tensor,
    params: TowerParams,
) -> Tensor:
    """Mean corrected softmax loss; each example is ranked against all items of its batch.

    The item tower runs once per distinct item, of histories, answers and draws alike.
    """
    import torch

    history, kinds, age, context, taken, weight, drawn = batch
    known = history >= 0
    rows, place = torch.unique(
        torch.cat([history.clamp(min=0).flatten(), taken, drawn]), return_inverse=True
    )
    vectors = net.item(*(part[rows] for part in content))  # type: ignore[operator]
    n, length = history.shape
    steps = vectors[place[: n * length]].view(n, length, -1)
    asked = net.customer(steps, kinds, age, known, context)  # type: ignore[operator]
    # Distinct candidates: an item twice in a batch would be its own negative.
    pool, mine = torch.unique(place[n * length :], return_inverse=True)
    logits = asked @ vectors[pool].T / params.temperature  # (n, pool)
    logits = logits - expected[rows[pool]].log()
    losses = torch.nn.functional.cross_entropy(logits, mine[:n], reduction="none")
    return (losses * weight).sum() / weight.sum()


def _expected(share: Array, params: TowerParams, items: int) -> Tensor:
    """Chance that an item is among a batch's candidates, by its share and by the even draws."""
    import torch

    absent = (1 - share) ** params.batch * (1 - 1 / max(items, 1)) ** params.drawn
    return torch.from_numpy(np.maximum(1 - absent, 1e-9).astype(np.float32))


def _inputs(examples: Examples) -> tuple[Tensor, ...]:
    import torch

    asked, known = examples.customers, examples.customers.items >= 0
    weights = np.ones(len(examples.taken)) if examples.weights is None else examples.weights
    arrays = (
        asked.items.astype(np.int64),
        np.where(known, asked.kinds, 0).astype(np.int64),
        age_input(np.where(known, asked.ages, 0.0)).astype(np.float32),
        asked.context.astype(np.float32),
        examples.taken.astype(np.int64),
        weights.astype(np.float32),
    )
    return tuple(torch.from_numpy(array) for array in arrays)


def _batches(
    inputs: tuple[Tensor, ...], rows: Array, params: TowerParams, items: int, epoch: int
) -> Sequence[tuple[Tensor, ...]]:
    """Batches of an epoch with their evenly drawn items; epoch -1 is the later examples."""
    import torch

    rng = np.random.default_rng((params.seed, epoch + 1))
    cuts = np.array_split(rng.permutation(rows), max(1, round(len(rows) / params.batch)))
    return [
        (
            *(part[torch.from_numpy(cut)] for part in inputs),
            torch.from_numpy(rng.integers(0, items, params.drawn)),
        )
        for cut in cuts
    ]


def _split(rows: Array, params: TowerParams) -> tuple[Array, Array]:
    """Rows to learn from and later ones that choose the epoch, where there are enough."""
    later = int(len(rows) * params.later_share)
    if later < FEWEST_LATER:
        return rows, rows[:0]
    return rows[:-later], rows[-later:][:LATER_EXAMPLES]


def _on(batch: tuple[Tensor, ...], place: Any) -> tuple[Tensor, ...]:
    return tuple(part.to(place) for part in batch)


def _identity(towers: TwoTower, examples: Examples, items: Items) -> str:
    """What is trained on, and from where."""
    found = sha256()
    asked = examples.customers
    for array in (
        *(asked.items, asked.kinds, asked.ages, asked.context, examples.taken),
        *(items.keys, items.text, np.nan_to_num(items.price)),
        *towers.weights.values(),
    ):
        found.update(np.ascontiguousarray(array).tobytes())
    return found.hexdigest()
