"""Learning from rare positives: which rows, which loss, and how to take both out again.

A model that is trained on all positives and a part of the negatives, by focal loss, gives scores
that are no chances of the rows as they come. `without_focus` and `shift` make log-odds of them
again, without changing their order.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from torch import Tensor

Array = np.ndarray[Any, Any]


def choose_rows(
    labels: Array, per_positive: int, fewest: int, most: int, seed: int
) -> tuple[Array, float]:
    """All positives and some negatives, in order; and the share of the negatives that is kept.

    Args:
        labels: 0 or 1, (n,).
        per_positive: Negatives wanted for each positive.
        fewest: Negatives wanted, however few the positives are.
        most: Negatives taken, however many the positives are.
        seed: Of the choice.
    """
    positive, negative = np.flatnonzero(labels > 0), np.flatnonzero(labels == 0)
    wanted = min(max(per_positive * len(positive), fewest), most, len(negative))
    chosen = np.random.default_rng(seed).choice(negative, wanted, replace=False)
    return np.sort(np.concatenate([positive, chosen])), wanted / max(len(negative), 1)


def focal_loss(logits: Tensor, labels: Tensor, gamma: float, alpha: float) -> Tensor:
    """Mean focal loss (Lin et al., 2017): cross entropy, less of it where a row is already right.

    Args:
        logits: The model's outputs, (n,).
        labels: 0 or 1, (n,).
        gamma: Power of the chance that the model gives to the wrong class; 0 is cross entropy.
        alpha: Weight of positives; that of negatives is the rest to 1.
    """
    from torch.nn import functional

    entropy = functional.binary_cross_entropy_with_logits(logits, labels, reduction="none")
    weight = alpha * labels + (1 - alpha) * (1 - labels)
    return (weight * (1 - (-entropy).exp()) ** gamma * entropy).mean()


def without_focus(logits: Array, gamma: float) -> Array:
    """Log-odds from the outputs of a model trained by focal loss, which draws chances to a half.

    Where the expected loss is least, the odds are the loss' slope for a negative over its slope
    for a positive (Charoenphakdee et al., 2021). Strictly increasing.
    """
    if gamma == 0:
        return logits
    up, down = np.logaddexp(0.0, logits), np.logaddexp(0.0, -logits)
    slopes = np.logaddexp(logits, np.log(gamma * up)) - np.logaddexp(-logits, np.log(gamma * down))
    return np.asarray((gamma - 1) * logits + slopes)


def shift(kept: float, alpha: float) -> float:
    """What to add to the log-odds when a share of the negatives was kept, positives weighted."""
    return float(np.log(kept) - np.log(alpha / (1 - alpha)))
