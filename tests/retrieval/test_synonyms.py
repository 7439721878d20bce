from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from agora.retrieval.highlights import highlight
from agora.retrieval.lexical import Lexical, Schema
from agora.retrieval.synonyms import SynonymsError, read_synonyms

if TYPE_CHECKING:
    from pathlib import Path

FILE = """
two_way:
  - [Sneaker, trainer, running shoe]
  - [4k, no]
one_way:
  footwear: [boot, sneaker]
"""
TITLES = ["White sneakers", "Running shoes", "Winter boots", "Trainer for dogs", "Tent"]


def written(folder: Path, text: str) -> Path:
    path = folder / "synonyms.yml"
    path.write_text(text)
    return path


@pytest.fixture
def index(tmp_path: Path) -> Lexical:
    schema = Schema({"title": 1.0}, synonyms=read_synonyms(written(tmp_path, FILE)))
    return Lexical.build(schema, np.arange(len(TITLES)), {"title": TITLES})


def found(index: Lexical, query: str) -> set[int]:
    return set(index.search(query, 10).rows.tolist())


def test_each_of_a_group_finds_the_others_in_singular_and_plural(index: Lexical) -> None:
    for query in ("sneaker", "sneakers", "trainers", "running shoes", "Running Shoe"):
        assert found(index, query) == {0, 1, 3}, query


def test_one_way_is_not_the_reverse(index: Lexical) -> None:
    assert found(index, "footwear") == {0, 2}
    assert found(index, "boots") == {2}


def test_the_word_itself_stands_above_its_synonym(index: Lexical) -> None:
    assert index.search("sneakers", 10).rows[0] == 0
    assert index.search("footwear", 10).scores.max() > 0


def test_a_word_with_synonyms_is_no_typing_error(index: Lexical) -> None:
    assert not index.read("footwear").is_corrected


def test_synonyms_are_highlighted(index: Lexical) -> None:
    shown = highlight(index.analyzer, index.read("trainers"), TITLES[0])
    assert shown == "White <em>sneakers</em>"


def test_other_synonyms_may_take_their_place(index: Lexical) -> None:
    other = index.changed(np.empty(0, np.int64), {"title": []}, synonyms={"canopy": ("tent",)})
    assert found(other, "canopy") == {4}
    assert found(other, "boots sneakers") == {0, 2}
    assert found(index, "canopy") == set()


def test_what_yaml_takes_for_a_truth_is_a_word(tmp_path: Path) -> None:
    said = read_synonyms(written(tmp_path, FILE))
    assert said["4k"] == ("no",)
    assert said["sneaker"] == ("trainer", "running shoe")
    assert "boot" not in said
    assert read_synonyms(written(tmp_path, "")) == {}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("two_way:\n  - [sofa]\n", r"line 2, two_way\[0\]: needs at least 2 different words"),
        ("two_way:\n  - [a, b]\n  - sofa\n", r"line 3, two_way\[1\]: must be a list"),
        ("two_way: sofa\n", "line 1, two_way: must be a list"),
        ("two_way:\n  - [sofa, [couch]]\n", r"line 2, two_way\[0\]\[1\]: must be a word"),
        ("two_way:\n  - [sofa, '!']\n", r"line 2, two_way\[0\]\[1\]: holds no letter"),
        ("one_way: [a]\n", "line 1, one_way: must be words"),
        ("one_way:\n  a: b\n", r"line 2, one_way.a: must be a list"),
        ("one_way:\n  a b c d: [e]\n", "line 2, one_way.a b c d: has more than 3 words"),
        ("twoway:\n  - [a, b]\n", "line 1, twoway: is unknown; write two_way or one_way"),
        ("- [a, b]\n", "line 1, the file: must hold two_way and one_way"),
        ("two_way:\n  - [a, b\none_way: {}\n", "line 3: is no YAML"),
        ("two_way: \x00", "is no YAML"),
    ],
)
def test_a_malformed_file_is_named_by_line_and_field(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(SynonymsError, match=said):
        read_synonyms(written(tmp_path, text))


def test_a_file_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(SynonymsError, match=r"nowhere.yml: cannot be read \(FileNotFoundError\)"):
        read_synonyms(tmp_path / "nowhere.yml")
