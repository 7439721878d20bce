from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from agora.retrieval import vectors as module
from agora.retrieval.attributes import Attributes, Selection
from agora.retrieval.hits import RetrievalError
from agora.retrieval.vectors import Vectors

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

WIDTH, ITEMS, K = 16, 4_000, 50


def clustered(items: int, seed: int = 0) -> np.ndarray:
    random = np.random.default_rng(seed)
    centres = random.normal(size=(60, WIDTH))
    found = centres[random.integers(0, 60, items)] + 0.4 * random.normal(size=(items, WIDTH))
    return (found / np.linalg.norm(found, axis=1, keepdims=True)).astype(np.float32)


MATRIX, QUERIES = clustered(ITEMS), clustered(20, seed=1)


@pytest.fixture(params=["exact", "lists"], scope="module")
def built(request: pytest.FixtureRequest) -> Iterator[Vectors]:
    import faiss

    # Threads that wait for each other cost more than so few items.
    faiss.omp_set_num_threads(1)
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(module, "EXACT", 1_000 if request.param == "lists" else 10**9)
        # Else a filter of a few thousand items would be compared one by one.
        monkeypatch.setattr(module, "GATHERED", 100)
        yield Vectors.build(MATRIX)


def best(matrix: np.ndarray, rows: np.ndarray, query: np.ndarray, k: int = K) -> set[int]:
    return set(rows[np.argsort(-(matrix[rows] @ query), kind="stable")[:k]].tolist())


def recall(found: Vectors, allowed: np.ndarray, selection: Selection | None) -> float:
    shares = []
    for query in QUERIES:
        hits = found.search(query, K, selection)
        assert (np.diff(hits.scores) <= 0).all()
        assert allowed[hits.rows].all()
        np.testing.assert_allclose(hits.scores, MATRIX[hits.rows] @ query, atol=1e-5)
        right = best(MATRIX, np.flatnonzero(allowed), query)
        shares.append(len(right & set(hits.rows.tolist())) / max(len(right), 1))
    return float(np.mean(shares))


def test_the_nearest_are_found(built: Vectors) -> None:
    assert recall(built, np.ones(ITEMS, bool), None) >= 0.95
    assert built.recall >= 0.95


def test_fewer_hits_are_found_in_fewer_lists(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "EXACT", 1_000)
    shallow, deep = (Vectors.build(MATRIX, queries=QUERIES, depth=each) for each in (K, 1_000))
    assert shallow._lists.visited < deep._lists.visited
    assert recall(shallow, np.ones(ITEMS, bool), None) >= 0.95


@pytest.mark.parametrize("few", [True, False])
def test_a_filter_is_kept_and_the_nearest_in_it_found(built: Vectors, few: bool) -> None:
    allowed = np.random.default_rng(3).random(ITEMS) < (0.01 if few else 0.4)
    rows = np.flatnonzero(allowed)
    selection = Selection(rows=rows) if few else Selection(mask=allowed)
    found = recall(built, allowed, selection)
    assert found == 1.0 if few else found >= 0.95


def test_a_filter_that_leaves_only_what_is_far_finds_the_nearest_of_it(built: Vectors) -> None:
    far = MATRIX @ QUERIES[0]
    allowed = far < np.quantile(far, 0.3)
    hits = built.search(QUERIES[0], K, Selection(mask=allowed))
    right = best(MATRIX, np.flatnonzero(allowed), QUERIES[0])
    assert len(right & set(hits.rows.tolist())) >= 0.9 * K


def test_lists_that_know_how_they_are_asked_find_what_others_do_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "EXACT", 1_000)
    # All ask in one direction, along which items hardly differ in a plain distance.
    random = np.random.default_rng(2)
    matrix = MATRIX * np.where(np.arange(WIDTH) == 0, np.float32(0.2), np.float32(1.0))
    queries = (0.05 * random.normal(size=(100, WIDTH))).astype(np.float32)
    queries[:, 0] = 1.0
    shares = []
    for known in (queries[:60], None):
        built = Vectors.build(matrix, queries=known, depth=K)
        found = [set(built.search(query, K).rows.tolist()) for query in queries[60:]]
        right = [best(matrix, np.arange(ITEMS), query) for query in queries[60:]]
        shares.append(np.mean([len(a & b) / K for a, b in zip(found, right, strict=True)]))
    assert shares[0] >= 0.95 > shares[1]


def test_a_filter_that_matches_nothing_finds_nothing(built: Vectors) -> None:
    assert len(built.search(QUERIES[0], K, Selection(rows=np.empty(0, np.int64)))) == 0
    assert len(built.search(QUERIES[0], K, Selection(mask=np.zeros(ITEMS, bool)))) == 0


def test_changes_are_as_if_built_so(built: Vectors) -> None:
    new = clustered(30, seed=5)
    rows = np.concatenate([np.arange(10), ITEMS + np.arange(20)])
    gone = np.array([50, 51, ITEMS + 3, 10**6])
    changed = built.changed(rows, new, deleted=gone)
    after = np.concatenate([MATRIX, new[10:]])
    after[:10] = new[:10]
    alive = np.ones(ITEMS + 20, bool)
    alive[[50, 51, ITEMS + 3]] = False
    assert len(changed) == alive.sum()
    for query in new:
        hits = changed.search(query, K)
        right = best(after, np.flatnonzero(alive), query)
        assert alive[hits.rows].all()
        assert len(right & set(hits.rows.tolist())) >= 0.9 * K
        small = Selection(rows=np.array([2, 50, 100, ITEMS + 3, ITEMS + 7]))
        assert set(changed.search(query, K, small).rows.tolist()) == {2, 100, ITEMS + 7}
    rebuilt = changed.rebuilt()
    every = [set(each.search(new[0], len(changed)).rows.tolist()) for each in (changed, rebuilt)]
    assert len(rebuilt) == len(changed)
    if built.recall == 1.0:
        assert every[0] == every[1] == set(np.flatnonzero(alive).tolist())
    assert len(built) == ITEMS


def test_the_last_vector_of_a_row_counts_and_deleting_wins() -> None:
    built = Vectors.build(MATRIX[:3])
    twice = built.changed(np.array([1, 1]), MATRIX[[7, 8]])
    np.testing.assert_array_equal(twice.of(np.array([1]))[0], MATRIX[8])
    assert len(built.changed(np.array([1]), MATRIX[:1], deleted=np.array([1]))) == 2


def test_rows_without_a_vector_are_not_found() -> None:
    matrix = MATRIX[:5].copy()
    matrix[2] = np.nan
    built = Vectors.build(matrix, present=np.arange(5) != 2)
    assert set(built.search(QUERIES[0], 10).rows.tolist()) == {0, 1, 3, 4}
    assert np.isnan(built.scores(QUERIES[0], np.array([2, 99]))).all()
    with pytest.raises(ValueError, match="NaN"):
        Vectors.build(matrix)


def test_a_query_that_is_no_vector_finds_nothing(built: Vectors) -> None:
    assert len(built.search(np.full(WIDTH, np.nan), K)) == 0
    assert len(built.search(QUERIES[0], 0)) == 0


def test_what_is_saved_is_what_is_loaded(built: Vectors, tmp_path: Path) -> None:
    changed = built.changed(np.array([ITEMS]), QUERIES[:1], deleted=np.array([7]))
    changed.save(tmp_path)
    loaded = Vectors.load(tmp_path)
    for query in QUERIES:
        one, other = changed.search(query, K), loaded.search(query, K)
        np.testing.assert_array_equal(one.rows, other.rows)
        np.testing.assert_array_equal(one.scores, other.scores)


def test_torn_files_are_refused(built: Vectors, tmp_path: Path) -> None:
    built.save(tmp_path)
    for file in sorted(tmp_path.iterdir()):
        whole = file.read_bytes()
        file.write_bytes(whole[: len(whole) // 2])
        with pytest.raises(RetrievalError):
            Vectors.load(tmp_path)
        file.unlink()
        with pytest.raises(RetrievalError):
            Vectors.load(tmp_path)
        file.write_bytes(whole)
    assert len(Vectors.load(tmp_path)) == ITEMS


RANDOM = np.random.default_rng(9)
CATEGORY = [None if at % 50 == 0 else f"c{at % 7}" for at in range(ITEMS)]
SELLER = [f"s{at}" for at in RANDOM.integers(0, 300, ITEMS)]
PRICE = np.where(RANDOM.random(ITEMS) < 0.01, np.nan, RANDOM.lognormal(3, 1, ITEMS).round(1))
ATTRIBUTES = Attributes({"category": CATEGORY, "seller": SELLER}, {"price": PRICE})


@pytest.mark.parametrize("few", [0, 10**9])
@pytest.mark.parametrize(
    ("equal", "between"),
    [
        ({"category": ["c1", "c2"]}, {}),
        ({"category": [None]}, {}),
        ({"category": ["none such"]}, {}),
        ({"category": []}, {}),
        ({"seller": ["s5"], "category": ["c1"]}, {}),
        ({}, {"price": (10.0, 20.0)}),
        ({}, {"price": (20.0, 10.0)}),
        ({}, {"price": (None, 3.0)}),
        ({"category": ["c3"]}, {"price": (15.0, None)}),
    ],
)
def test_filters_equal_brute_force(
    monkeypatch: pytest.MonkeyPatch, few: int, equal: dict, between: dict
) -> None:
    monkeypatch.setattr("agora.retrieval.attributes.FEW", few)
    right = np.ones(ITEMS, bool)
    columns = {"category": CATEGORY, "seller": SELLER}
    for name, values in equal.items():
        right &= np.array([each in values for each in columns[name]])
    for low, high in between.values():
        right &= [(low is None or low <= each) and (high is None or each <= high) for each in PRICE]
        right &= ~np.isnan(PRICE)
    selection = ATTRIBUTES.select(equal, between)
    assert selection is not None
    assert len(selection) == right.sum()
    np.testing.assert_array_equal(selection.allowed(ITEMS), right)


def test_attributes_are_changed_saved_and_counted(tmp_path: Path) -> None:
    more = ATTRIBUTES.extended(
        np.array([0, ITEMS + 1]),
        {"category": ["new", "c1"], "seller": ["s1", "s1"]},
        {"price": np.array([5.0, 6.0])},
    )
    more.save(tmp_path)
    loaded = Attributes.load(tmp_path)
    for each in (more, loaded):
        assert each.items == ITEMS + 2
        assert each.select({"category": ["new"]}).allowed(ITEMS + 2).nonzero()[0].tolist() == [0]
        assert each.select({"category": ["c1"]}).allowed(ITEMS + 2)[ITEMS + 1]
    assert loaded.counts("category", np.array([0, 1, 8, 15, 50])) == {"c1": 3, "new": 1}
    assert ATTRIBUTES.select() is None
    assert ATTRIBUTES.select({}, {"price": (None, None)}) is None
    (tmp_path / "number_price.npy").write_bytes(b"PK")
    with pytest.raises(RetrievalError):
        Attributes.load(tmp_path)
