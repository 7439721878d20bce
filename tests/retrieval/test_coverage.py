from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from agora.retrieval.coverage import Coverage
from agora.retrieval.words import Analyzer

if TYPE_CHECKING:
    from pathlib import Path

TEXTS = ["Red running shoes", "blue shoe, blue", "", "Café lamp 90 cm"]


@pytest.fixture(scope="module")
def coverage() -> Coverage:
    return Coverage.of(Analyzer("english"), TEXTS, 8)


def groups(coverage: Coverage, *words: str) -> list[np.ndarray]:
    return [coverage.codes_of(Analyzer("english").stems(word)) for word in words]


def test_a_text_covers_the_words_whose_stems_it_has(coverage: Coverage) -> None:
    held = coverage.held(np.arange(4), groups(coverage, "shoes", "RUNS", "cafe", "nowhere"))
    assert held.tolist() == [
        [True, True, False, False], [True, False, False, False], [False] * 4,
        [False, False, True, False],
    ]  # fmt: skip


def test_rare_words_weigh_more_and_unknown_ones_the_most(coverage: Coverage) -> None:
    asked = groups(coverage, "shoes", "red")
    share, own = coverage.covered(np.array([0, 1]), asked)
    assert share[0] == 1.0
    assert 0 < share[1] < 0.5, "it lacks the rarer of the two"
    assert own.tolist() == [2 / 3, 1 / 2]
    lacking, _ = coverage.covered(np.array([0]), groups(coverage, "shoes", "nowhere"))
    assert lacking[0] < 0.5


def test_nothing_is_covered_by_nothing(coverage: Coverage) -> None:
    assert coverage.covered(np.arange(4), [])[0].tolist() == [0.0] * 4
    empty = Coverage.of(Analyzer("english"), [], 8)
    assert len(empty) == 0
    assert empty.covered(np.empty(0, int), groups(empty, "shoes"))[0].shape == (0,)


def test_what_is_saved_is_what_is_loaded(coverage: Coverage, tmp_path: Path) -> None:
    coverage.save(tmp_path)
    again = Coverage.load(tmp_path)
    assert np.array_equal(again.codes, coverage.codes)
    asked = groups(coverage, "blue", "lamp")
    assert np.array_equal(
        again.covered(np.arange(4), asked)[0], coverage.covered(np.arange(4), asked)[0]
    )


def test_a_changed_one_covers_as_one_that_is_made_anew(coverage: Coverage) -> None:
    changed = coverage.changed(Analyzer("english"), np.array([1]), ["Red lamp shade", ""])
    fresh = Coverage.of(Analyzer("english"), [TEXTS[0], "", *TEXTS[2:], "Red lamp shade", ""], 8)
    for words in (("red", "lamp"), ("shoes",), ("blue",), ("shade", "nowhere")):
        ours, theirs = (
            each.covered(np.arange(6), groups(each, *words)) for each in (changed, fresh)
        )
        assert np.allclose(ours, theirs), words
    assert coverage.covered(np.array([1]), groups(coverage, "blue"))[0] == 1.0
