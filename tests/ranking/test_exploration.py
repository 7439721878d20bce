from __future__ import annotations

import subprocess
import sys
from itertools import permutations

import numpy as np
import pytest

from agora.ranking.exploration import Policy, drawn, seed_of

LISTED, POOL = np.array([7, 3, 9, 1]), np.array([20, 21, 22])


@pytest.mark.parametrize(("epsilon", "spared"), [(0.3, 0), (0.3, 1), (1.0, 0), (0.0, 0)])
def test_chances_are_how_often_an_item_stands_at_a_place(epsilon: float, spared: int) -> None:
    policy, draws = Policy(epsilon, spared), 2_500
    shown = np.array([policy.show(LISTED, POOL, f"r{i}").rows for i in range(draws)])
    total = np.zeros(4)
    for item in np.concatenate([LISTED, POOL]):
        chance = policy.propensity(LISTED, POOL, np.full(4, item))
        np.testing.assert_allclose((shown == item).mean(axis=0), chance, atol=0.04)
        total += chance
    np.testing.assert_allclose(total, 1)


def test_chances_are_the_sum_over_all_that_can_happen() -> None:
    """Two places, one item beside: every case is written out."""
    listed, pool, e = np.array([0, 1]), np.array([2]), 0.4
    wanted = np.zeros((2, 3))
    for first, second in ((False, False), (True, False), (False, True), (True, True)):
        chance = (e if first else 1 - e) * (e if second else 1 - e)
        open_places = [p for p, opened in enumerate((first, second)) if opened]
        orders = list(permutations([*open_places, 2], len(open_places)))
        for order in orders:
            stand = {0: 0, 1: 1} | dict(zip(open_places, order, strict=True))
            for place, item in stand.items():
                wanted[place, item] += chance / len(orders)
    for item in range(3):
        found = Policy(e).propensity(listed, pool, np.full(2, item))
        np.testing.assert_allclose(found, wanted[:, item])


@pytest.mark.parametrize("spared", [0, 2, 9])
def test_the_table_holds_the_chance_of_every_item_at_every_place(spared: int) -> None:
    policy = Policy(0.3, spared)
    table = policy.table(len(LISTED), len(POOL))
    for column, item in enumerate([*LISTED, *POOL]):
        each = policy.propensity(LISTED, POOL, np.full(4, item))
        np.testing.assert_allclose(table[:, column], each)
    np.testing.assert_allclose(table.sum(axis=1), 1)


def test_what_is_drawn_is_drawn_by_its_weight_and_never_twice() -> None:
    weights = np.array([0.0, 1.0, 3.0, 6.0])
    first = np.bincount([drawn(weights, 1, seed)[0] for seed in range(3_000)], minlength=4) / 3_000
    np.testing.assert_allclose(first, weights / 10, atol=0.04)
    assert sorted(drawn(weights, 9, 5).tolist()) == [1, 2, 3]
    assert drawn(np.zeros(3), 2, 0).tolist() == []


def test_what_is_logged_is_the_chance_of_what_is_shown() -> None:
    policy = Policy(0.5)
    for request in "abcdefgh":
        shown = policy.show(LISTED, POOL, request)
        np.testing.assert_array_equal(
            shown.propensities, policy.propensity(LISTED, POOL, shown.rows)
        )
        assert (shown.propensities > 0).all()
        assert len(set(shown.rows.tolist())) == 4


def test_a_replay_gives_the_same_list_in_another_process() -> None:
    code = (
        "import numpy as np; from agora.ranking.exploration import Policy\n"
        "shown = Policy(0.5).show(np.array([7, 3, 9, 1]), np.array([20, 21, 22]), 'request-1')\n"
        "print(shown.rows.tolist())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == str(Policy(0.5).show(LISTED, POOL, "request-1").rows.tolist())
    assert seed_of("request-1") != seed_of("request-2")


def test_without_a_pool_the_open_places_share_their_own() -> None:
    shown = Policy(1.0).show(LISTED, np.empty(0, np.int64), "r")
    assert sorted(shown.rows.tolist()) == sorted(LISTED.tolist())
    np.testing.assert_allclose(shown.propensities, 1 / 4)


def test_what_makes_no_sense_is_refused() -> None:
    with pytest.raises(ValueError, match="listed"):
        Policy(0.5).show(LISTED, np.array([3, 20]), "r")
    with pytest.raises(ValueError, match="no chance"):
        Policy(1.5)
