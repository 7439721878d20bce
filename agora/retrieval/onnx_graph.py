"""A BERT sentence encoder as one ONNX graph: token ids and mask in, vectors of length 1 out.

Written from the weights with ONNX Runtime's fused operators, so that neither torch nor transformers
is needed to export or to serve. Mean pooling over the tokens of the mask, then normalised.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from agora.retrieval.hits import Array

OPSET, FUSED = 17, "com.microsoft"


def write(
    path: Path, weights: Mapping[str, Array], config: Mapping[str, Any], *, quantised: bool
) -> None:
    """Write the graph.

    Args:
        path: The `.onnx` file.
        weights: BERT's, by their usual names.
        config: BERT's `config.json`.
        quantised: Matrices in 8 bits, activations quantised as they come.
    """
    import onnx

    graph = _Graph(weights, config)
    graph.encode()
    model = graph.model()
    onnx.save(model, str(path))
    if quantised:
        from onnxruntime.quantization import QuantType, quantize_dynamic

        quantize_dynamic(
            str(path), str(path), op_types_to_quantize=["MatMul", "Attention"],
            per_channel=True, reduce_range=True, weight_type=QuantType.QInt8,
            extra_options={"DefaultTensorType": onnx.TensorProto.FLOAT},
        )  # fmt: skip


class _Graph:
    def __init__(self, weights: Mapping[str, Array], config: Mapping[str, Any]) -> None:
        if config.get("hidden_act") != "gelu" or config.get("model_type") != "bert":
            raise ValueError("only BERT with gelu can be exported")
        self._weights, self._config = weights, config
        self._nodes: list[Any] = []
        self._arrays: list[Any] = []

    def encode(self) -> None:
        """Add all nodes."""
        states = self._embed()
        for number in range(self._config["num_hidden_layers"]):
            states = self._layer(states, f"encoder.layer.{number}")
        self._pool(states)

    def model(self) -> Any:
        """The whole, checked by the runtime when it is loaded."""
        from onnx import TensorProto, helper

        shape = ["batch", "tokens"]
        inputs = [
            helper.make_tensor_value_info(name, TensorProto.INT32, shape)
            for name in ("ids", "mask")
        ]
        width = self._config["hidden_size"]
        output = helper.make_tensor_value_info("vectors", TensorProto.FLOAT, ["batch", width])
        graph = helper.make_graph(self._nodes, "encoder", inputs, [output], self._arrays)
        opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid(FUSED, 1)]
        return helper.make_model(graph, opset_imports=opsets, ir_version=8)

    def _embed(self) -> str:
        embeddings = "embeddings.{}_embeddings.weight".format
        # One text a sequence: the type is always 0, so its vector is added to every position's.
        position = self._of(embeddings("position")) + self._of(embeddings("token_type"))[0]
        return self._fused(
            "EmbedLayerNormalization",
            ["ids", "", self._array("words", self._of(embeddings("word"))),
             self._array("positions", position), "", *self._norm("embeddings"), "mask"],
            "embedded", outputs=["embedded", "lengths"], epsilon=self._epsilon,
        )  # fmt: skip

    def _layer(self, states: str, name: str) -> str:
        parts = [f"{name}.attention.self.{part}" for part in ("query", "key", "value")]
        joined = np.concatenate([self._of(f"{part}.weight").T for part in parts], axis=1)
        bias = np.concatenate([self._of(f"{part}.bias") for part in parts])
        attended = self._fused(
            "Attention",
            [states, self._array(f"{name}.qkv", joined), self._array(f"{name}.qkv_bias", bias),
             "mask"],
            f"{name}.attended", num_heads=self._config["num_attention_heads"],
        )  # fmt: skip
        states = self._residual(attended, states, f"{name}.attention.output")
        wide = self._multiply(states, f"{name}.intermediate.dense")
        wide = self._fused(
            "BiasGelu", [wide, self._bias(f"{name}.intermediate.dense")], f"{name}.gelu"
        )
        return self._residual(wide, states, f"{name}.output")

    def _residual(self, states: str, skipped: str, name: str) -> str:
        dense = self._multiply(states, f"{name}.dense")
        return self._fused(
            "SkipLayerNormalization",
            [dense, skipped, *self._norm(name), self._bias(f"{name}.dense")],
            f"{name}.normalised", epsilon=self._epsilon,
        )  # fmt: skip

    def _pool(self, states: str) -> None:
        from onnx import TensorProto

        self._node("Cast", ["mask"], "weights", to=TensorProto.FLOAT)
        last, tokens = (self._array(name, np.array([at])) for name, at in (("last", 2), ("at", 1)))
        self._node("Unsqueeze", ["weights", last], "column")
        self._node("Mul", [states, "column"], "counted")
        # Of length 1 in the end: dividing by the number of tokens would change nothing.
        self._node("ReduceSum", ["counted", tokens], "summed", keepdims=0)
        self._node("LpNormalization", ["summed"], "vectors", axis=1, p=2)

    @property
    def _epsilon(self) -> float:
        return float(self._config["layer_norm_eps"])

    def _norm(self, name: str) -> list[str]:
        return [
            self._array(f"{name}.LayerNorm.{part}", self._of(f"{name}.LayerNorm.{part}"))
            for part in ("weight", "bias")
        ]

    def _bias(self, name: str) -> str:
        return self._array(f"{name}.bias", self._of(f"{name}.bias"))

    def _multiply(self, states: str, name: str) -> str:
        return self._node(
            "MatMul", [states, self._array(name, self._of(f"{name}.weight").T)], f"{name}.product"
        )

    def _of(self, name: str) -> Array:
        return np.asarray(self._weights[name])

    def _array(self, name: str, values: Array) -> str:
        from onnx import numpy_helper

        if name not in {array.name for array in self._arrays}:
            self._arrays.append(numpy_helper.from_array(np.ascontiguousarray(values), name))
        return name

    def _fused(self, kind: str, inputs: list[str], output: str, **said: Any) -> str:
        return self._node(kind, inputs, output, domain=FUSED, **said)

    def _node(
        self, kind: str, inputs: list[str], output: str, *, outputs: list[str] | None = None,
        **said: Any,
    ) -> str:  # fmt: skip
        from onnx import helper

        self._nodes.append(helper.make_node(kind, inputs, outputs or [output], name=output, **said))
        return output
