"""A sentence encoder of ten words with random weights, in the shape of a packaged one."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
from safetensors.numpy import save_file

if TYPE_CHECKING:
    from pathlib import Path

WIDTH, WIDE, HEADS, LAYERS, PLACES = 16, 32, 4, 2, 300
WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "red", "blue", "shoes", "hat", "for", "running"]
CONFIG = {
    "model_type": "bert", "hidden_act": "gelu", "hidden_size": WIDTH, "num_hidden_layers": LAYERS,
    "num_attention_heads": HEADS, "layer_norm_eps": 1e-12,
}  # fmt: skip


def small_weights() -> dict[str, np.ndarray]:
    random = np.random.default_rng(0)

    def drawn(*shape: int) -> np.ndarray:
        return random.normal(0, 0.3, shape).astype(np.float32)

    weights = {
        f"embeddings.{kind}_embeddings.weight": drawn(count, WIDTH)
        for kind, count in (("word", len(WORDS)), ("position", PLACES), ("token_type", 2))
    }
    norms = ["embeddings"]
    for layer in range(LAYERS):
        name = f"encoder.layer.{layer}"
        for part in ("query", "key", "value"):
            weights[f"{name}.attention.self.{part}.weight"] = drawn(WIDTH, WIDTH)
            weights[f"{name}.attention.self.{part}.bias"] = drawn(WIDTH)
        shapes = {
            "attention.output": (WIDTH, WIDTH), "intermediate": (WIDE, WIDTH),
            "output": (WIDTH, WIDE),
        }  # fmt: skip
        for part, shape in shapes.items():
            weights[f"{name}.{part}.dense.weight"] = drawn(*shape)
            weights[f"{name}.{part}.dense.bias"] = drawn(shape[0])
        norms += [f"{name}.attention.output", f"{name}.output"]
    for name in norms:
        weights[f"{name}.LayerNorm.weight"] = 1 + drawn(WIDTH)
        weights[f"{name}.LayerNorm.bias"] = drawn(WIDTH)
    return weights


def small_source(folder: Path) -> Path:
    """A BERT of a few words, with random weights."""
    folder.mkdir()
    save_file(small_weights(), folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps(CONFIG))
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

    tokenizer = Tokenizer(
        models.WordPiece({word: at for at, word in enumerate(WORDS)}, unk_token="[UNK]")
    )
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    tokenizer.save(str(folder / "tokenizer.json"))
    return folder
