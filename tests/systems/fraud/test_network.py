from __future__ import annotations

import signal
import subprocess
import sys
import time
from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
import pytest

from agora.imbalance import choose_rows, without_focus
from agora.metrics import auc_roc, average_precision
from agora.systems.fraud.features import INPUTS
from agora.systems.fraud.network import EVENT_AT, WIDTH, NetworkParams, SequenceNetwork
from agora.systems.fraud.sequence import FIELDS, LENGTH, SEQUENCE_COLUMNS
from agora.torch_training import CHECKPOINT, load_tensors

if TYPE_CHECKING:
    from pathlib import Path

QUICK = NetworkParams(width=16, heads=2, hidden=16, epochs=6, fewest_honest=3_000, batch=256)
pytestmark = pytest.mark.xdist_group("systems")
START = 1_750_000_000.0
AMOUNT = INPUTS.index("amount")


def payments(n: int = 6_000, seed: int = 0, fraud_share: float = 0.02) -> tuple[np.ndarray, ...]:
    """Payments whose frauds only the sequence tells: a burst of five-fold amounts before them."""
    rng = np.random.default_rng(seed)
    labels = (rng.random(n) < fraud_share).astype(float)
    matrix = np.full((n, WIDTH + len(SEQUENCE_COLUMNS)), np.nan)
    matrix[:, :WIDTH] = rng.normal(size=(n, WIDTH))
    usual = rng.lognormal(3, 0.7, n)
    past = np.empty((n, LENGTH, FIELDS))
    past[:, :, 0] = usual[:, None] * rng.lognormal(0, 0.3, (n, LENGTH))
    at = np.sort(START + rng.integers(0, 40 * 86_400, n).astype(float))
    past[:, :, 1] = at[:, None] - np.cumsum(rng.exponential(40_000, (n, LENGTH)), axis=1)
    past[:, :, 2] = rng.integers(0, 1_024, (n, LENGTH))
    past[:, :, 3] = rng.integers(0, 3, (n, LENGTH))
    past[:, :, 4:] = rng.normal(size=(n, LENGTH, 2))
    leaked = np.flatnonzero(labels)
    past[leaked, :2, 0] *= 5
    past[rng.random((n, LENGTH)).cumsum(axis=1) > LENGTH * 0.6] = np.nan
    now = np.column_stack([usual, at, *rng.integers(0, 3, (2, n)), *rng.normal(size=(2, n))])
    matrix[:, WIDTH:] = np.concatenate([past.reshape(n, -1), now], axis=1)
    matrix[:, AMOUNT] = now[:, 0]
    return matrix, labels


@lru_cache
def fitted() -> SequenceNetwork:
    return SequenceNetwork.fit(*payments(), QUICK)


def test_the_network_learns_what_only_the_sequence_tells() -> None:
    matrix, labels = payments(seed=1)
    found = fitted().raw(matrix)
    assert auc_roc(labels, found)[0] > 0.95
    forgotten = matrix.copy()
    forgotten[:, WIDTH:-FIELDS] = np.nan
    assert auc_roc(labels, fitted().raw(forgotten))[0] < 0.7


@pytest.mark.parametrize("share", [0.001, 0.01])
def test_frauds_of_a_tenth_of_a_percent_to_a_percent_are_learned(share: float) -> None:
    network = SequenceNetwork.fit(*payments(30_000, fraud_share=share), QUICK)
    matrix, labels = payments(20_000, seed=1, fraud_share=share)
    assert average_precision(labels, network.raw(matrix))[0] > 20 * share


def test_chances_are_of_the_size_of_the_fraud_share_although_honest_rows_were_left_out() -> None:
    matrix, labels = payments(12_000, fraud_share=0.01)
    # Most honest payments are left out, and frauds weigh three times as much.
    params = replace(QUICK, alpha=0.75, gamma=2.0, fewest_honest=1_000, honest_per_fraud=1)
    chances = 1 / (1 + np.exp(-SequenceNetwork.fit(matrix, labels, params).raw(matrix)))
    assert chances.mean() == pytest.approx(labels.mean(), rel=0.6)


def test_focus_is_undone_exactly() -> None:
    """The chance with the least expected focal loss gives back the true one."""
    gamma, logits = 2.0, np.linspace(-8, 8, 400_001)
    v = 1 / (1 + np.exp(-logits))
    for true in (0.01, 0.2, 0.5, 0.9):
        loss = -true * (1 - v) ** gamma * np.log(v) - (1 - true) * v**gamma * np.log1p(-v)
        best = logits[[np.argmin(loss)]]
        assert without_focus(best, gamma) == pytest.approx(np.log(true / (1 - true)), abs=1e-3)
    assert (np.diff(without_focus(np.linspace(-40, 40, 999), gamma)) > 0).all()
    assert (without_focus(logits, 0.0) == logits).all()


def test_one_row_many_rows_torch_and_a_loaded_network_agree(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    matrix, _ = payments(600, seed=2)
    many = fitted().raw(matrix)
    np.testing.assert_allclose(
        [fitted().raw(matrix[k : k + 1])[0] for k in range(50)], many[:50], atol=1e-4
    )
    # Where there is a GPU, torch judges many rows.
    monkeypatch.setattr("agora.systems.fraud.network.has_gpu", lambda: True)
    np.testing.assert_allclose(fitted().raw(matrix), many, atol=1e-4)
    monkeypatch.undo()
    fitted().save(tmp_path)
    loaded = SequenceNetwork.load(tmp_path)
    np.testing.assert_array_equal(loaded.raw(matrix[:1]), fitted().raw(matrix[:1]))
    np.testing.assert_array_equal(loaded.raw(matrix), many)
    assert loaded.params == QUICK
    assert {path.suffix for path in tmp_path.iterdir()} == {".safetensors", ".json"}


def test_a_saved_network_scores_a_payment_without_torch(tmp_path: Path) -> None:
    fitted().save(tmp_path)
    matrix, _ = payments(1, seed=3)
    np.save(tmp_path / "row.npy", matrix)
    code = (
        "import sys, numpy; from pathlib import Path;"
        "from agora.systems.fraud.network import SequenceNetwork;"
        "folder = Path(sys.argv[1]);"
        "print(SequenceNetwork.load(folder).raw(numpy.load(folder / 'row.npy'))[0]);"
        "assert 'torch' not in sys.modules"
    )
    found = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], check=True, capture_output=True, text=True
    )
    assert float(found.stdout) == pytest.approx(fitted().raw(matrix)[0], abs=1e-6)


def test_a_payment_of_which_nothing_is_known_has_a_score() -> None:
    matrix = np.full((1, WIDTH + len(SEQUENCE_COLUMNS)), np.nan)
    matrix[0, AMOUNT] = matrix[0, -FIELDS] = 1e7
    matrix[0, EVENT_AT] = START
    assert np.isfinite(fitted().raw(matrix)).all()


def test_equal_seeds_give_equal_networks() -> None:
    again = SequenceNetwork.fit(*payments(), QUICK)
    assert all((again.weights[k] == v).all() for k, v in fitted().weights.items())


@pytest.mark.slow
def test_a_killed_training_ends_with_the_same_network(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path;"
        "from tests.systems.fraud.test_network import QUICK, payments;"
        "from agora.systems.fraud.network import SequenceNetwork;"
        "SequenceNetwork.fit(*payments(), QUICK, checkpoints=Path(sys.argv[1]))"
    )
    process = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)])
    deadline = time.monotonic() + 120
    while not (tmp_path / CHECKPOINT).exists() and time.monotonic() < deadline:
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert '"epoch": 6' not in load_tensors(tmp_path / CHECKPOINT)[1]["progress"]
    resumed = SequenceNetwork.fit(*payments(), QUICK, checkpoints=tmp_path)
    assert all((resumed.weights[k] == v).all() for k, v in fitted().weights.items())


def test_all_frauds_are_kept_and_honest_payments_within_bounds() -> None:
    labels = np.zeros(10_000)
    labels[::500] = 1
    rows, kept = choose_rows(labels, per_positive=100, fewest=100, most=5_000, seed=0)
    assert labels[rows].sum() == 20
    assert len(rows) == 2_020
    assert kept == pytest.approx(2_000 / 9_980)
    assert len(choose_rows(labels, 1, 3_000, 5_000, 0)[0]) == 3_020
    assert len(choose_rows(labels, 900, 0, 5_000, 0)[0]) == 5_020
    assert choose_rows(labels, 900, 0, 50_000, 0)[1] == 1
    assert (np.diff(rows) > 0).all()
