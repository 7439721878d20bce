"""Model cards: what must be known of a model before it may be registered."""

from __future__ import annotations

import json
import platform
from dataclasses import asdict, dataclass, field, fields
from typing import TYPE_CHECKING, Any

from agora.evaluation import CANDIDATE
from agora.warm_start import Origin

if TYPE_CHECKING:
    from agora.evaluation import Report
    from agora.manifest import TrainingSetManifest
    from agora.pipeline import Manifest
    from agora.system import System


def origin_of(origin: Origin | None) -> dict[str, Any]:
    """How a model was trained, as its card says it; None: in full."""
    origin = origin or Origin()
    return {"trained": str(origin), **asdict(origin)}


class IncompleteCardError(ValueError):
    """A model's card lacks fields; the message names them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelCard:
    """A registered model's card; every field is required.

    Attributes:
        system: Whose model it is.
        version: Model version.
        training_set: Table, content hash, Delta versions of what it was made of, spans and rows.
        feature_sets: Ids of the feature sets.
        owner: Dagster owner.
        contact: Address that answers questions.
        environment: Python and library versions that it was trained and saved with.
        transformer: What turns a request into the model's input, its code version and columns.
        training_configuration: Every parameter of the training.
        description: What is decided, and the system's card in words.
        metrics: The candidate's metrics on the test span, with intervals.
        origin: `trained` (`full`, or `warm from 12`), `start`, `in_a_row`, `reason`, as
            `agora.warm_start.Origin`; models of before it was kept were trained in full.
    """

    system: str
    version: str
    training_set: dict[str, Any]
    feature_sets: list[str]
    owner: str
    contact: str
    environment: dict[str, str]
    transformer: dict[str, Any]
    training_configuration: dict[str, Any]
    description: str
    metrics: dict[str, Any]
    origin: dict[str, Any] = field(default_factory=lambda: origin_of(None))

    def check(self) -> None:
        """Refuse an incomplete card.

        Raises:
            IncompleteCardError: A field is empty.
        """
        if lacking := self.lacking():
            raise IncompleteCardError(
                f"{self.system}: the model's card lacks {', '.join(lacking)}; nothing is registered"
            )

    def lacking(self) -> list[str]:
        """Names of empty fields."""
        return [field.name for field in fields(self) if not getattr(self, field.name)]

    def to_json(self) -> str:
        """The card as JSON."""
        return json.dumps(asdict(self), indent=1)

    @classmethod
    def from_json(cls, text: str) -> ModelCard:
        """Read what `to_json` wrote."""
        return cls(**json.loads(text))


def card_of(
    system: System,
    saved: Manifest,
    training_set: TrainingSetManifest,
    report: Report,
    table_version: int | None,
    origin: Origin | None = None,
) -> ModelCard:
    """The card of a saved pipeline."""
    made_of = json.loads(training_set.to_json())
    return ModelCard(
        system=system.name,
        version=saved.version,
        training_set={
            "table": f"{system.name}/training_set", "table_version": table_version, **made_of
        },
        feature_sets=list(saved.feature_sets),
        owner=system.owner,
        contact=system.contact,
        environment={"python": platform.python_version(), **saved.libraries},
        transformer={
            "pipeline": f"agora.systems.{system.name}.pipeline",
            "code_version": training_set.code_version,
            "inputs": list(saved.inputs),
            "outputs": saved.outputs,
        },
        training_configuration=saved.params,
        description=system.decision,
        metrics={
            name: asdict(estimate) for name, estimate in report.metrics.get(CANDIDATE, {}).items()
        },
        origin=origin_of(origin),
    )  # fmt: skip
