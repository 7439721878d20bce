from __future__ import annotations

import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import numpy as np
import pytest

from agora.retrieval.encoded import EncodedTexts
from agora.retrieval.encoder import DEFAULT, FILES, QUERY_TOKENS, Encoder, export, packaged
from agora.retrieval.hits import RetrievalError
from tests.small_encoder import HEADS, LAYERS, WIDTH, small_source, small_weights

if TYPE_CHECKING:
    from pathlib import Path


def by_hand(ids: list[int]) -> np.ndarray:
    """The same network, written again in numpy: (width,)."""
    weights = {name: each.astype(np.float64) for name, each in small_weights().items()}

    def norm(x: np.ndarray, name: str) -> np.ndarray:
        x = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-12)
        return x * weights[f"{name}.LayerNorm.weight"] + weights[f"{name}.LayerNorm.bias"]

    def dense(x: np.ndarray, name: str) -> np.ndarray:
        return x @ weights[f"{name}.weight"].T + weights[f"{name}.bias"]

    def gelu(x: np.ndarray) -> np.ndarray:
        from math import erf

        return x * 0.5 * (1 + np.vectorize(erf)(x / np.sqrt(2)))

    table = "embeddings.{}_embeddings.weight".format
    x = weights[table("word")][ids] + weights[table("position")][: len(ids)]
    x = norm(x + weights[table("token_type")][0], "embeddings")
    for layer in range(LAYERS):
        name = f"encoder.layer.{layer}"
        q, k, v = (
            dense(x, f"{name}.attention.self.{part}").reshape(len(ids), HEADS, -1).swapaxes(0, 1)
            for part in ("query", "key", "value")
        )
        logits = q @ k.swapaxes(1, 2) / np.sqrt(WIDTH / HEADS)
        shares = np.exp(logits - logits.max(-1, keepdims=True))
        shares /= shares.sum(-1, keepdims=True)
        attended = (shares @ v).swapaxes(0, 1).reshape(len(ids), WIDTH)
        x = norm(dense(attended, f"{name}.attention.output.dense") + x, f"{name}.attention.output")
        wide = gelu(dense(x, f"{name}.intermediate.dense"))
        x = norm(dense(wide, f"{name}.output.dense") + x, f"{name}.output")
    pooled = x.mean(axis=0)
    return np.asarray(pooled / np.linalg.norm(pooled))


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_source(tmp_path_factory.mktemp("weights") / "small")


@pytest.fixture(scope="module")
def folder(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    exported = tmp_path_factory.mktemp("exported")
    export(exported, str(source))
    return exported


def test_the_graph_is_the_network_written_by_hand(folder: Path) -> None:
    encoder = Encoder.load(folder)
    expected = by_hand([2, 4, 6, 8, 9, 3])
    np.testing.assert_allclose(encoder.query("Red shoes for RUNNING"), expected, atol=2e-6)


def test_a_text_has_the_same_vector_alone_and_among_others(folder: Path) -> None:
    encoder = Encoder.load(folder)
    texts = ["red", "blue shoes for running", "", "hat " * 400, "red hat"]
    together = encoder.texts(texts)
    alone = np.stack([encoder.texts([text])[0] for text in texts])
    np.testing.assert_allclose(together, alone, atol=2e-6)
    np.testing.assert_allclose(np.linalg.norm(together, axis=1), 1, atol=1e-6)
    assert encoder.texts([]).shape == (0, WIDTH)


@pytest.mark.parametrize("text", ["", "hat " * 2_500, "💥", "\ud800", "\x00", "日本語"])
def test_any_query_has_a_vector(folder: Path, text: str) -> None:
    encoder = Encoder.load(folder)
    assert np.isfinite(encoder.query(text)).all()
    assert encoder.query(text) is encoder.query(text)


def test_a_long_query_costs_no_more_than_its_first_tokens(folder: Path) -> None:
    encoder = Encoder.load(folder)
    cut = "hat " * (QUERY_TOKENS - 2)
    np.testing.assert_array_equal(encoder.query("hat " * 2_500), encoder.query(cut))


def test_a_folder_that_is_torn_or_missing_is_refused(folder: Path, tmp_path: Path) -> None:
    for file in FILES:
        torn = tmp_path / file
        shutil.copytree(folder, torn)
        (torn / file).write_bytes((torn / file).read_bytes()[:20])
        with pytest.raises(RetrievalError, match="cannot be loaded"):
            Encoder.load(torn)
    with pytest.raises(RetrievalError, match="cannot be loaded"):
        Encoder.load(tmp_path / "nowhere")


def test_an_encoder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(RetrievalError, match="none of"):
        packaged(tmp_path, "no-such-encoder")


def test_an_encoder_is_exported_once_and_travels_with_its_folder(
    source: Path, tmp_path: Path
) -> None:
    encoder = packaged(tmp_path / "cache", str(source))
    (made,) = (tmp_path / "cache").glob("[!.]*")
    written = (made / "encoder.onnx").stat().st_mtime_ns
    packaged(tmp_path / "cache", str(source))
    assert (made / "encoder.onnx").stat().st_mtime_ns == written
    (tmp_path / "sealed").mkdir()
    encoder.save(tmp_path / "sealed")
    shutil.rmtree(made)
    np.testing.assert_array_equal(
        Encoder.load(tmp_path / "sealed").query("red hat"), encoder.query("red hat")
    )


OPEN = """
import sys
from pathlib import Path
from agora.retrieval import encoder
export = encoder.export
def seen(*arguments, **named):
    print("exported")
    return export(*arguments, **named)
encoder.export = seen
print("ready", flush=True)
sys.stdin.readline()
encoder.packaged(Path(sys.argv[1]), sys.argv[2], quantised=True)
"""


def test_processes_that_open_it_at_once_export_it_once(tmp_path: Path) -> None:
    source = small_source(tmp_path / "source")
    command = [sys.executable, "-c", OPEN, str(tmp_path / "cache"), str(source)]
    openers = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    for opener in openers:
        assert opener.stdout.readline() == "ready\n"
    for opener in openers:
        opener.stdin.write("now\n")
        opener.stdin.flush()
    said = "".join(opener.communicate()[0] for opener in openers)
    assert [opener.returncode for opener in openers] == [0, 0, 0]
    assert said == "exported\n"


def test_what_was_encoded_is_not_encoded_again(folder: Path, tmp_path: Path) -> None:
    encoder = Encoder.load(folder)
    first = EncodedTexts(encoder, tmp_path).vectors(["red", "blue hat", "red"])
    np.testing.assert_allclose(first, encoder.texts(["red", "blue hat", "red"]), atol=2e-6)
    files = {file: file.stat().st_mtime_ns for file in tmp_path.rglob("*.npz")}
    again = EncodedTexts(encoder, tmp_path).vectors(["blue hat", "red"])
    np.testing.assert_array_equal(again, first[[1, 0]])
    assert {file: file.stat().st_mtime_ns for file in tmp_path.rglob("*.npz")} == files
    more = EncodedTexts(encoder, tmp_path).vectors(["shoes", "red"])
    np.testing.assert_array_equal(more[1], first[0])


@pytest.mark.slow
def test_the_packaged_encoder_knows_what_is_alike(tmp_path: Path) -> None:
    pytest.importorskip(DEFAULT.replace("-", "_"))
    exact, quick = (packaged(tmp_path, quantised=quantised) for quantised in (False, True))
    texts = ["sneakers for jogging", "running shoes", "a cup of coffee"]
    for encoder in (exact, quick):
        shoes, sport, coffee = encoder.texts(texts)
        assert shoes @ sport > 0.5 > shoes @ coffee
    assert ((exact.texts(texts) * quick.texts(texts)).sum(axis=1) > 0.97).all()
