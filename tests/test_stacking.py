from __future__ import annotations

import numpy as np
import pytest

from agora.stacking import Stack, fit_stack


def parts(n: int = 20_000, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Two views of one log-odds, and a third part that knows nothing."""
    rng = np.random.default_rng(seed)
    first, second = rng.normal(size=(2, n))
    labels = (rng.random(n) < 1 / (1 + np.exp(4 - first - 2 * second))).astype(float)
    return np.column_stack([first - 4, second, rng.normal(size=n)]), labels


def loss(log_odds: np.ndarray, labels: np.ndarray) -> float:
    return float((np.logaddexp(0, log_odds) - labels * log_odds).mean())


def test_weights_are_those_that_made_the_labels() -> None:
    raws, labels = parts()
    stack = fit_stack(raws, labels)
    assert stack.weights == pytest.approx((1.0, 2.0, 0.0), abs=0.12)
    assert stack.shift == pytest.approx(0.0, abs=0.35)


def test_the_whole_is_better_than_its_parts_and_their_mean_on_other_rows() -> None:
    stack = fit_stack(*parts())
    raws, labels = parts(seed=1)
    alone = [loss(fit_stack(raws[:, [k]], labels)(raws[:, [k]]), labels) for k in range(3)]
    assert loss(stack(raws), labels) < min(*alone, loss(Stack.mean(3)(raws), labels))


def test_no_part_ever_counts_against_the_whole() -> None:
    raws, labels = parts()
    stack = fit_stack(np.column_stack([raws[:, :2], -raws[:, 0]]), labels)
    assert min(stack.weights) >= 0
    rng = np.random.default_rng(2)
    rows = rng.normal(size=(500, 3)) * 5
    assert (stack(rows + rng.random((500, 3))) >= stack(rows)).all()


def test_few_frauds_give_the_plain_mean() -> None:
    raws, labels = parts()
    few = np.flatnonzero(labels)[:49]
    rows = np.concatenate([few, np.flatnonzero(labels == 0)])
    assert fit_stack(raws[rows], labels[rows]) == Stack.mean(3)
    assert fit_stack(raws, np.zeros(len(raws))) == Stack.mean(3)


def test_parts_that_all_mislead_keep_an_order() -> None:
    raws, labels = parts()
    assert fit_stack(-raws[:, :2], labels) == Stack.mean(2)


def test_parts_that_agree_share_the_weight() -> None:
    raws, labels = parts()
    stack = fit_stack(raws[:, [1, 1]], labels)
    assert stack.weights[0] == pytest.approx(stack.weights[1])


def test_contributions_add_up_to_the_score() -> None:
    raws, labels = parts(2_000)
    stack = fit_stack(raws, labels, fewest=10)
    assert (raws * np.array(stack.weights)).sum(axis=1) + stack.shift == pytest.approx(stack(raws))
