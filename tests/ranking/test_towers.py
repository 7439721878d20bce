from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
import pytest

from agora.ranking.tower_inputs import Customers, Items, age_input, hashed_text
from agora.ranking.towers import Examples, TowerParams, TwoTower

if TYPE_CHECKING:
    from pathlib import Path

KINDS, EACH, STEPS = 6, 20, 5
NOUNS = ("lamp", "boot", "kettle", "novel", "guitar", "tent")
SMALL = TowerParams(
    width=16, hidden=32, batch=128, drawn=32, epochs=6, learning_rate=1e-2, later_share=0.0
)


def shop(first: int = 0, each: int = EACH, seed: int = 0) -> Items:
    """Items of several kinds; text says the kind, the category does for half of them."""
    rng = np.random.default_rng(seed)
    kind = np.arange(KINDS * each) % KINDS
    texts = [f"{NOUNS[k]} model {rng.integers(1000)}" for k in kind]
    category = np.where(np.arange(len(kind)) % 2, kind.astype(str), "misc")
    price = np.where(rng.random(len(kind)) < 0.1, np.nan, rng.lognormal(3, 0.5, len(kind)))
    keys = (first + np.arange(len(kind))) * 7_919
    return Items(keys, hashed_text(texts, 64), category, price)


def examples(n: int = 1_500, seed: int = 0, items: int = KINDS * EACH) -> Examples:
    """Customers take the kind that they took last; some have no history."""
    rng = np.random.default_rng(seed)
    kind = rng.integers(0, KINDS, n)
    history = rng.integers(0, items // KINDS, (n, STEPS)) * KINDS + kind[:, None]
    history[np.arange(STEPS) >= rng.integers(0, STEPS + 1, n)[:, None]] = -1
    return Examples(
        Customers(
            history,
            rng.integers(0, 3, (n, STEPS)),
            np.sort(rng.exponential(3_600, (n, STEPS)), axis=1),
            rng.normal(size=(n, 2)),
        ),
        rng.integers(0, items // KINDS, n) * KINDS + kind,
    )


@cache
def fitted() -> TwoTower:
    return TwoTower.fit(examples(), shop(), SMALL)


def share_of_kind(towers: TwoTower, items: Items, vectors: np.ndarray) -> float:
    """Share of the ten nearest items that are of the last interaction's kind."""
    asked = examples(200, seed=9).customers
    asked = asked.take(np.flatnonzero(asked.items[:, 0] >= 0))
    found = towers.customer_vectors(asked, towers.item_vectors(shop())) @ vectors.T
    nearest = np.argsort(-found, axis=1)[:, :10] % KINDS
    assert len(items) == len(vectors)
    return float((nearest == (asked.items[:, :1] % KINDS)).mean())


def test_the_towers_learn_what_is_taken_next() -> None:
    assert share_of_kind(fitted(), shop(), fitted().item_vectors(shop())) > 0.8


def test_new_items_stand_where_their_content_says() -> None:
    new = shop(first=10_000, seed=5)
    assert not np.isin(new.keys, fitted().keys).any()
    assert share_of_kind(fitted(), new, fitted().item_vectors(new)) > 0.6


def test_numpy_answers_as_torch_does() -> None:
    import torch

    towers, items, asked = fitted(), shop(), examples(64, seed=3).customers
    module = towers.module().eval()
    vectors = towers.item_vectors(items)
    known = asked.items >= 0
    with torch.inference_mode():
        by_torch = module.item(*(torch.from_numpy(part) for part in towers.item_inputs(items)))
        customer = module.customer(
            torch.from_numpy(vectors[np.where(known, asked.items, 0)]),
            torch.from_numpy(np.where(known, asked.kinds, 0)),
            torch.from_numpy(age_input(asked.ages).astype(np.float32)),
            torch.from_numpy(known),
            torch.from_numpy(asked.context.astype(np.float32)),
        )
    np.testing.assert_allclose(vectors, by_torch.numpy(), atol=1e-5)
    np.testing.assert_allclose(towers.customer_vectors(asked, vectors), customer.numpy(), atol=1e-5)


def test_one_customer_is_answered_as_among_many() -> None:
    towers, asked = fitted(), examples(50, seed=3).customers
    vectors = towers.item_vectors(shop())
    many = towers.customer_vectors(asked, vectors)
    alone = [towers.customer_vectors(asked.take(np.array([i])), vectors)[0] for i in range(50)]
    np.testing.assert_allclose(many, np.array(alone), atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(many, axis=1), 1, atol=1e-5)


def test_equal_seeds_give_equal_towers() -> None:
    params = replace(SMALL, epochs=1)
    first, again = (TwoTower.fit(examples(400), shop(), params) for _ in range(2))
    other = TwoTower.fit(examples(400), shop(), replace(params, seed=1))
    for name, values in first.weights.items():
        np.testing.assert_array_equal(values, again.weights[name])
    assert not np.array_equal(first.weights["text.weight"], other.weights["text.weight"])


def test_a_warm_start_goes_on_where_the_last_one_ended() -> None:
    grown = shop(each=EACH + 5)
    today = examples(600, seed=4, items=len(grown))
    update = replace(SMALL, epochs=1, learning_rate=1e-3)
    warm = TwoTower.fit(today, grown, update, start=fitted())
    cold = TwoTower.fit(today, grown, update)
    known = np.searchsorted(warm.keys, fitted().keys) + 1
    before = fitted().weights["ids.weight"][1:]
    assert np.abs(warm.weights["ids.weight"][known] - before).max() < 0.05
    assert warm.price == fitted().price
    assert set(warm.categories) >= set(fitted().categories)
    found = [share_of_kind(t, shop(), t.item_vectors(shop())) for t in (warm, cold)]
    assert found[0] > max(0.8, found[1] + 0.2)


def test_towers_come_back_from_plain_files_as_they_were(tmp_path: Path) -> None:
    fitted().save(tmp_path)
    assert {path.suffix for path in tmp_path.iterdir()} == {".safetensors", ".json"}
    again = TwoTower.load(tmp_path)
    assert again.params == fitted().params
    np.testing.assert_array_equal(again.item_vectors(shop()), fitted().item_vectors(shop()))


def test_a_service_asks_the_towers_without_torch(tmp_path: Path) -> None:
    fitted().save(tmp_path)
    asked = (
        "import sys, numpy as np\nfrom pathlib import Path\n"
        "from agora.ranking.towers import TwoTower\n"
        "from agora.ranking.tower_inputs import Customers\n"
        f"towers = TwoTower.load(Path({str(tmp_path)!r}))\n"
        "none = np.full((1, 5), -1)\n"
        "asked = Customers(none, none, none, np.zeros((1, 2)))\n"
        "towers.customer_vectors(asked, np.zeros((1, 16)))\n"
        "assert 'torch' not in sys.modules and 'lightgbm' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", asked], check=True, timeout=60)


def test_the_popular_are_not_pushed_away_for_being_popular() -> None:
    """Without histories the towers must rank by how often an item is taken."""
    rng = np.random.default_rng(0)
    share = np.repeat([0.3, 0.05, 0.01], [2, 6, 10])
    taken = rng.choice(len(share), 1_200, p=share / share.sum())
    none = np.full((1_200, 1), -1)
    items = Items(
        np.arange(18), np.zeros((18, 4), np.float32), np.full(18, "one"), np.full(18, 5.0)
    )
    customers = Customers(none, none, np.zeros((1_200, 1)), np.ones((1_200, 1)))
    params = replace(SMALL, batch=16, drawn=4, id_dropout=0.0, epochs=4, temperature=0.2)
    towers = TwoTower.fit(Examples(customers, taken), items, params)
    vectors = towers.item_vectors(items)
    scores = (towers.customer_vectors(customers.take(np.array([0])), vectors) @ vectors.T)[0]
    assert scores[:2].min() > scores[2:8].max() > np.median(scores[8:])


@pytest.mark.parametrize("text", ["", "Blue Lamp", "blue lamp blue lamp", "Ünïcode 漢字"])
def test_a_text_hashes_alike_alone_and_among_others(text: str) -> None:
    alone = hashed_text([text], 32)
    among = hashed_text(["red boot", text, ""], 32)
    np.testing.assert_array_equal(alone[0], among[1])
    assert np.linalg.norm(alone) == pytest.approx(1 if text else 0)


def test_like_texts_hash_near_each_other() -> None:
    a, b, c = hashed_text(["wooden table lamp", "wooden table lamps", "running shoes"], 256)
    assert a @ b > 0.7 > 0.3 > a @ c
