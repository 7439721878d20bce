"""A system that learns in no time, for the assets that every system shares."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from agora.evaluation import Estimate, Report
from agora.gate import Gate
from agora.pipeline import seal
from agora.systems.fraud import SYSTEM as FRAUD
from tests.toy_system import SETS, ToyPipeline, toy_system

if TYPE_CHECKING:
    from pathlib import Path

    from agora.system import System


class Toy(ToyPipeline):
    """The toy's pipeline with parameters, which a model card must name."""

    def save(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "toy.json").write_text(json.dumps({"scale": self.scale}))
        seal(
            folder, system="toy", version=self.version, inputs=("amount",), outputs=self.outputs,
            feature_sets=tuple(s.id for s in SETS), params={"scale": self.scale}, libraries=(),
        )  # fmt: skip


def report(*_: Any) -> Report:
    """A report that says the same of every candidate."""
    return Report(
        system="toy", primary="accuracy", 
        metrics={"candidate": {"accuracy": Estimate(0.9, 0.8, 1)}},
        differences={"coin": Estimate(0.4, 0.3, 0.5)}, slices=[], reliability=[],
        curves={"candidate": {"recall": [0, 1], "precision": [1, 0]}}, importance={"amount": 1.0},
        rows=100, positives=50, spans={"test": ("2026-03-01", "2026-03-02")},
    )  # fmt: skip


def toy(*, gate_holds: bool = True) -> System:
    """The system, with a gate that holds or does not."""
    return replace(
        toy_system(),
        labelled=FRAUD.labelled,
        requests=FRAUD.requests,
        build=Toy,
        load=Toy.load,
        evaluate=report,
        gate=Gate(baselines=("coin" if gate_holds else "oracle",), tolerance=0.0),
        budgets=FRAUD.budgets,
    )
