from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agora.retrieval.highlights import highlight
from agora.retrieval.hits import RetrievalError
from agora.retrieval.lexical import CONFIGURATION, Lexical, Schema

if TYPE_CHECKING:
    from pathlib import Path

TITLES = [
    "Red running shoes",
    "Blue running jacket",
    "Leather shoe polish",
    "Wireless headphones",
    "Crème brûlée torch",
    "Mobile phone case",
    None,
]
SCHEMA = Schema(
    {"title": 2.0, "description": 1.0},
    exact=("category",),
    synonyms={"earphones": ("headphones",), "cell phone": ("mobile",)},
)


def texts(titles: list[str | None]) -> dict[str, list[str | None]]:
    return {
        "title": titles,
        "description": ["sold with headphones" if title else "" for title in titles],
        "category": ["sport" if title and "running" in title else "other" for title in titles],
    }


@pytest.fixture(scope="module")
def index() -> Lexical:
    return Lexical.build(SCHEMA, np.arange(len(TITLES)), texts(TITLES))


def found(index: Lexical, query: str, **filters: object) -> list[int]:
    return index.search(query, 10, **filters).rows.tolist()  # type: ignore[arg-type]


def test_words_are_found_by_their_stem_case_and_accent_aside(index: Lexical) -> None:
    assert found(index, "SHOES")[0] in (0, 2)
    assert set(found(index, "shoe")) == {0, 2}
    assert found(index, "creme brulee") == [4]


def test_scores_fall_and_the_heavier_field_counts_more(index: Lexical) -> None:
    hits = index.search("headphones", 10)
    assert hits.rows[0] == 3
    assert (np.diff(hits.scores) <= 0).all()
    assert index.search("headphones", 10, fields=("title",)).rows.tolist() == [3]


@pytest.mark.parametrize("typo", ["runing", "rnuning", "runniing", "runnibg"])
def test_a_typo_finds_what_was_meant(index: Lexical, typo: str) -> None:
    assert set(found(index, typo)) == {0, 1}
    reading = index.read(f"{typo} shoes")
    assert (reading.corrected, reading.is_corrected) == ("running shoes", True)


def test_what_is_spelt_well_is_left_alone(index: Lexical) -> None:
    assert not index.read("Red shoes").is_corrected
    assert index.read("shoepolish").corrected == "shoe polish"


def test_synonyms_of_words_and_of_phrases_are_found(index: Lexical) -> None:
    assert found(index, "earphones")[0] == 3
    assert 5 in found(index, "cell phone")


def test_filters_leave_only_what_they_allow(index: Lexical) -> None:
    assert found(index, "shoes", exact={"category": ["sport"]}) == [0]
    assert found(index, "shoes", exact={"category": ["nothing"]}) == []
    assert found(index, "shoes", allowed=np.arange(len(TITLES)) == 2) == [2]
    assert found(index, "shoes", allowed=np.zeros(len(TITLES), bool)) == []


def test_a_filter_that_leaves_far_hits_still_finds_them() -> None:
    rows = np.arange(500)
    many = Lexical.build(Schema({"title": 1.0}), rows, {"title": ["shoe " * 3] * 499 + ["shoe"]})
    worst = many.search("shoe", 500).rows[-3:]
    assert set(many.search("shoe", 3, allowed=np.isin(rows, worst)).rows) == set(worst.tolist())


@pytest.mark.parametrize(
    "query",
    ["", "   ", "***", 'title:"x" AND (', "\x00", "\ud800", "💥", "shoes " * 2_000, "x" * 10_000,
     "a b " * 5_000, "-shoes +red ^2 ~", "日本語"],
)  # fmt: skip
def test_no_query_is_refused(index: Lexical, query: str) -> None:
    assert len(index.search(query, 10)) <= 10
    assert len(index.completions(query, 5)) <= 5


@settings(max_examples=20, deadline=None)
@given(st.text(max_size=80))
def test_any_text_can_be_searched_for_and_highlighted(query: str) -> None:
    index = Lexical.build(Schema({"title": 1.0}), np.arange(1), {"title": [query]})
    reading = index.read(query)
    assert set(index.search(reading, 5).rows.tolist()) <= {0}
    assert "<script" not in highlight(index.analyzer, reading, query + "<script>")


def test_a_changed_index_is_as_if_built_so(index: Lexical) -> None:
    rows, titles = np.array([0, 9]), ["Green hat", "Running watch"]
    changed = index.changed(rows, texts(titles), deleted=np.array([1, 4, 77]))
    kept = [2, 3, 5, 6, 0, 9]
    rebuilt = Lexical.build(
        SCHEMA, np.array(kept), texts([TITLES[row] for row in kept[:4]] + titles)
    )
    assert len(changed) == len(rebuilt)
    for query in ("running", "shoe", "hat", "headphones", "brulee", "runing"):
        assert set(found(changed, query)) == set(found(rebuilt, query))
    assert found(index, "running") != found(changed, "running")
    assert set(found(index, "running")) == {0, 1}


def test_what_is_saved_is_what_is_loaded(index: Lexical, tmp_path: Path) -> None:
    index.save(tmp_path)
    before = sorted(file.name for file in tmp_path.iterdir())
    loaded = Lexical.load(tmp_path)
    assert found(loaded, "shoes earphones") == found(index, "shoes earphones")
    changed = loaded.changed(np.array([8]), texts(["Running socks"]))
    assert set(found(changed, "running")) == {0, 1, 8}
    assert sorted(file.name for file in tmp_path.iterdir()) == before


@pytest.mark.parametrize("torn", [CONFIGURATION, "meta.json", ".managed.json"])
def test_a_torn_index_is_refused(index: Lexical, tmp_path: Path, torn: str) -> None:
    index.save(tmp_path)
    (tmp_path / torn).write_text((tmp_path / torn).read_text()[:10])
    with pytest.raises(RetrievalError, match="cannot be read"):
        Lexical.load(tmp_path)
    (tmp_path / torn).unlink()
    with pytest.raises(RetrievalError, match="cannot be read"):
        Lexical.load(tmp_path)


def test_a_missing_segment_is_refused(index: Lexical, tmp_path: Path) -> None:
    index.save(tmp_path)
    next(tmp_path.glob("*.term")).unlink()
    with pytest.raises(RetrievalError, match="cannot be read"):
        Lexical.load(tmp_path)


def test_an_empty_index_finds_nothing(tmp_path: Path) -> None:
    empty = Lexical.build(Schema({"title": 1.0}), np.empty(0, np.int64), {"title": []})
    assert (len(empty), len(empty.search("shoes", 5))) == (0, 0)
    assert len(empty.changed(np.array([3]), {"title": ["shoes"]}).search("shoes", 5)) == 1


def test_beginnings_are_completed_by_frequency(index: Lexical) -> None:
    assert index.completions("ru", 5) == [("running", 2)]
    assert set(index.completions("red s", 5, among="polish")) == {("sold", 1), ("shoe", 1)}


def test_a_highlight_marks_the_words_and_escapes_the_rest(index: Lexical) -> None:
    text = "A & B <b>" + "filler " * 60 + "fine Shoes for running"
    shown = highlight(index.analyzer, index.read("shoe"), text, 80)
    assert "<em>Shoes</em>" in shown
    assert shown.startswith("…")
    assert highlight(index.analyzer, index.read("zebra"), "A & B") == "A &amp; B"
    assert highlight(index.analyzer, index.read("x"), None) == ""
