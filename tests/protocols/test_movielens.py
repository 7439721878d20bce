from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from agora.protocols import PROTOCOLS, ProtocolError
from agora.protocols.movielens import split
from agora.settings import settings
from tests.ranking.taste import taken

if TYPE_CHECKING:
    from pathlib import Path


def written(path: Path, users: int = 60, items: int = 40) -> Path:
    """A small world of tastes in the format of MovieLens 100K."""
    learned, held, _ = taken(users, items, kinds=4, each=12)
    rows = np.argwhere((learned + held).toarray() > 0)
    rng = np.random.default_rng(0)
    times = 900_000_000 + rng.integers(0, 10**6, len(rows))
    lines = [f"{u + 1}\t{i + 1}\t4\t{t}" for (u, i), t in zip(rows, times, strict=True)]
    (path / "u.data").write_text("\n".join(lines))
    return path


def test_the_split_is_the_benchmarks_own() -> None:
    """Microsoft Recommenders' stratified split, written as its loop over items."""
    rng = np.random.default_rng(0)
    items = rng.integers(0, 30, 400)
    np.random.seed(42)
    drawn = np.random.rand(len(items))
    wanted = np.zeros(len(items), bool)
    for item in np.unique(items):
        rows = np.flatnonzero(items == item)
        order = rows[np.argsort(drawn[rows])]
        wanted[order[: round(0.75 * len(rows))]] = True
    np.testing.assert_array_equal(split(items, 0.75, 42), wanted)


def test_any_set_of_the_format_is_measured(tmp_path: Path) -> None:
    rows = {found["metric"]: found for found in PROTOCOLS["movielens"](written(tmp_path), {})}
    assert rows["ndcg_at_10"]["value"] > rows["ndcg_at_10 (popular)"]["value"]
    assert rows["ndcg_at_10"]["target"] is None
    assert 0 < rows["map"]["value"] < rows["recall_at_10"]["value"] <= 1


@pytest.mark.parametrize(
    ("options", "message"), [({"sead": "1"}, "sead unknown"), ({"seed": "x"}, "invalid literal")]
)
def test_an_option_that_does_not_fit_is_named(
    options: dict[str, str], message: str, tmp_path: Path
) -> None:
    with pytest.raises(ProtocolError, match=message):
        PROTOCOLS["movielens"](written(tmp_path), options)


def test_a_path_without_data_is_named(tmp_path: Path) -> None:
    with pytest.raises(ProtocolError, match=r"none of u\.data"):
        PROTOCOLS["movielens"](tmp_path, {})


@pytest.mark.slow
@pytest.mark.timeout(1_800)
def test_the_models_reach_what_is_published() -> None:
    folder = settings().public_data
    if folder is None or not (folder / "ml-100k").exists():
        pytest.skip("AGORA_PUBLIC_DATA has no ml-100k; see `python -m benchmarks.public`")
    rows = {found["metric"]: found for found in PROTOCOLS["movielens"](folder / "ml-100k", {})}
    assert rows["ndcg_at_10"]["value"] > 0.48
    assert rows["precision_at_10"]["value"] > 0.41
    assert rows["ndcg_at_10"]["target"] == 0.49
