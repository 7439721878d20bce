from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
import pytest

from agora.protocols import PROTOCOLS, ProtocolError
from agora.protocols.judged_evidence import NAMES
from agora.settings import settings
from agora.sources import SOURCES, SourceError
from agora.sources.beir import read
from tests.small_encoder import WORDS, small_source

if TYPE_CHECKING:
    from pathlib import Path

GIVEN = WORDS[4:]
DOCUMENTS, QUERIES = 60, 24


@pytest.fixture(scope="module")
def collection(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Documents of random words; a query is two words of the one document that answers it."""
    folder = tmp_path_factory.mktemp("data") / "small"
    (folder / "qrels").mkdir(parents=True)
    random = np.random.default_rng(0)
    texts = [
        f"Word{at} {' '.join(random.choice(GIVEN, 6))}. And {random.choice(GIVEN)} number{at}."
        for at in range(DOCUMENTS)
    ]
    corpus = [
        {"_id": f"d{at}", "title": f"Title {at}", "text": text} for at, text in enumerate(texts)
    ]
    queries = [
        {"_id": f"q{at}", "text": f"number{at} {texts[at].split()[1]}", "metadata": {"more": [1]}}
        for at in range(QUERIES)
    ]
    for name, lines in (("corpus", corpus), ("queries", queries)):
        (folder / f"{name}.jsonl").write_text("\n".join(map(json.dumps, lines)) + "\n")
    for part, numbers in (("train", range(16)), ("test", range(16, QUERIES))):
        lines = [f"q{at}\td{at}\t1" for at in numbers]
        (folder / "qrels" / f"{part}.tsv").write_text(
            "\n".join(["query-id\tcorpus-id\tscore", *lines]) + "\n"
        )
    return folder


@pytest.fixture(scope="module")
def options(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    home = tmp_path_factory.mktemp("home")
    return {"home": str(home), "encoder": str(small_source(home / "small"))}


def test_words_find_what_they_name(collection: Path, options: dict[str, str]) -> None:
    found = {row["metric"]: row["value"] for row in PROTOCOLS["beir"](collection, options)}
    assert (found["documents"], found["test_queries"]) == (DOCUMENTS, 8)
    assert found["ndcg_at_10 (BM25)"] == 1.0
    assert found["recall_at_100 (encoder)"] == 1.0
    assert found["ndcg_at_10 (encoder)"] < 1.0
    assert found["ndcg_at_10"] == found["ndcg_at_10 (learned on train)"]


def test_test_judgements_choose_nothing(
    collection: Path, options: dict[str, str], tmp_path: Path
) -> None:
    """With other test judgements, every query gets the same documents in the same order."""
    from agora.protocols import beir

    orders = []
    for judgements in ("q16\td16\t1", "q16\td3\t1"):
        other = tmp_path / judgements[4:6].strip()
        (other / "qrels").mkdir(parents=True)
        for file in ("corpus.jsonl", "queries.jsonl", "qrels/train.tsv"):
            (other / file).write_bytes((collection / file).read_bytes())
        (other / "qrels" / "test.tsv").write_text(f"query-id\tcorpus-id\tscore\n{judgements}\n")
        documents, vectors = beir._indexed(read(other), options)
        taught = beir._Asked.of(read(other), "train", documents, vectors)
        asked = beir._Asked.of(read(other), "test", documents, vectors)
        orders.append(beir.learned(taught.evidence, taught.gains(), asked.evidence)[0])
    np.testing.assert_array_equal(*orders)


def test_evidence_is_finite_and_named(collection: Path, options: dict[str, str]) -> None:
    from agora.protocols import beir

    documents, vectors = beir._indexed(read(collection), options)
    for text in ("number3 red", "", "nothing that is known", "💥"):
        vector = vectors.get(text, next(iter(vectors.values())))
        evidence = documents.ask(text, vector)
        assert evidence.matrix.shape == (len(evidence.rows), len(NAMES))
        assert np.isfinite(evidence.matrix).all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"tset": "test"}, "tset unknown"),
        ({"test": "dev"}, "qrels/dev.tsv; there are test, train"),
        ({"encoder": "none-such"}, "none of"),
    ],
)
def test_an_option_that_does_not_fit_is_named(
    collection: Path, options: dict[str, str], change: dict[str, str], message: str
) -> None:
    with pytest.raises(ProtocolError, match=message):
        PROTOCOLS["beir"](collection, {**options, **change})


def test_a_folder_in_another_format_is_named(tmp_path: Path) -> None:
    with pytest.raises(ProtocolError, match="BEIR's format"):
        PROTOCOLS["beir"](tmp_path, {})
    (tmp_path / "qrels").mkdir()
    (tmp_path / "qrels" / "test.tsv").write_text("a,b\n1,2\n")
    (tmp_path / "corpus.jsonl").write_text("not json\n")
    with pytest.raises(SourceError, match=r"corpus\.jsonl"):
        read(tmp_path)


def test_a_collection_is_landed_once_as_products_and_searches(
    collection: Path, tmp_path: Path
) -> None:
    summary = SOURCES["beir"].land(collection, tmp_path)
    assert summary.rows == {"merchants": 1, "products": DOCUMENTS, "searches": QUERIES}
    assert summary.files == 3
    assert SOURCES["beir"].land(collection, tmp_path).files == 0
    products = pl.read_parquet(tmp_path / "products" / "dt=*" / "*.parquet")
    assert sorted(products["product_id"]) == sorted(f"d{at}" for at in range(DOCUMENTS))


@pytest.mark.slow
@pytest.mark.timeout(3_600)
def test_scifact_reaches_what_words_alone_reach() -> None:
    folder = settings().public_data
    if folder is None or not (folder / "scifact").exists():
        pytest.skip("AGORA_PUBLIC_DATA has no scifact; see `python -m benchmarks.public`")
    found = {row["metric"]: row["value"] for row in PROTOCOLS["beir"](folder / "scifact", {})}
    assert (found["documents"], found["test_queries"]) == (5_183, 300)
    assert found["ndcg_at_10"] > 0.679
