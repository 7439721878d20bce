from __future__ import annotations

import dataclasses
import logging
import subprocess
import sys
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
import pytest

from agora.dataset import Split
from agora.evaluation import CANDIDATE, Scored, compare
from agora.metrics import average_precision
from agora.pipeline import MANIFEST, PipelineError, seal
from agora.settings import Settings
from agora.stores.cards import IncompleteCardError, ModelCard
from agora.stores.models import CHALLENGER, CHAMPION, ModelRegistry, UnknownModelError
from tests.systems.synthetic import AS_OF, manifest
from tests.toy_system import ToyPipeline, toy_system

if TYPE_CHECKING:
    from pathlib import Path

    from agora.evaluation import Report
    from agora.manifest import TrainingSetManifest

SYSTEM = toy_system()
IDS = tuple(feature_set.id for feature_set in SYSTEM.feature_sets)
pytestmark = pytest.mark.xdist_group("mlflow")


class Toy(ToyPipeline):
    """The toy with a training configuration, which a card must have."""

    def save(self, folder: Path) -> None:
        super().save(folder)
        seal(
            folder, system="toy", version=self.version, inputs=("amount",), outputs=self.outputs,
            feature_sets=IDS, params={"scale": self.scale}, libraries=("numpy",),
        )  # fmt: skip


def report() -> Report:
    rng = np.random.default_rng(0)
    labels = (rng.random(200) < 0.3).astype(float)
    return compare(
        "toy", {CANDIDATE: Scored(rng.random(200) + labels)}, labels, np.arange(200),
        {"average_precision": average_precision}, primary="average_precision",
        slices={}, importance={"amount": 1.0}, spans={},
    )  # fmt: skip


def training() -> TrainingSetManifest:
    frame = pl.DataFrame({"split": ["train"], SYSTEM.label: [True]})
    return manifest(SYSTEM, frame, Split().spans(AS_OF))


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    return Settings(home=tmp_path_factory.mktemp("home"))


@pytest.fixture(scope="module")
def registry(settings: Settings) -> ModelRegistry:
    """A registry with versions 1 and 2, of which 1 is the champion."""
    registry = ModelRegistry(settings)
    for scale in (10.0, 20.0):
        registry.register(
            SYSTEM, Toy("", scale), training(), report(), table_version=4,
            plots={"curve.png": b"png"}, tags={"run": "r"},
        )  # fmt: skip
    registry.promote(SYSTEM, "1")
    return registry


def test_a_registry_without_models_says_so_without_making_any(tmp_path: Path) -> None:
    empty = ModelRegistry(Settings(home=tmp_path / "home"))
    assert empty.alias(SYSTEM) is None
    assert empty.versions(SYSTEM) == []
    with pytest.raises(UnknownModelError, match="toy: no model 'champion'; versions: none"):
        empty.load(SYSTEM)
    assert not (tmp_path / "home").exists()


def test_versions_count_up_and_a_pipeline_knows_its_own(registry: ModelRegistry) -> None:
    assert registry.versions(SYSTEM)[:2] == ["1", "2"]
    assert registry.load(SYSTEM, "2").version == "2"


def test_what_is_loaded_is_what_was_registered(registry: ModelRegistry) -> None:
    assert registry.load(SYSTEM).scale == 10.0
    assert registry.load(SYSTEM, "2").scale == 20.0


def test_an_alias_moves_and_says_where_it_was(registry: ModelRegistry) -> None:
    assert registry.promote(SYSTEM, "2", CHALLENGER) is None
    assert registry.promote(SYSTEM, "1", CHALLENGER) == "2"
    assert registry.alias(SYSTEM, CHALLENGER) == "1"
    assert registry.alias(SYSTEM, CHAMPION) == "1"


def test_an_unknown_alias_or_version_is_refused(registry: ModelRegistry) -> None:
    with pytest.raises(ValueError, match="choose one of champion"):
        registry.promote(SYSTEM, "1", "winner")
    with pytest.raises(UnknownModelError, match="no model '99'"):
        registry.promote(SYSTEM, "99")


def test_card_report_and_plots_lie_beside_the_pipeline(registry: ModelRegistry) -> None:
    card = registry.card(SYSTEM, "2")
    assert card.version == "2"
    assert card.training_set["table_version"] == 4
    assert card.metrics["average_precision"]["value"] == pytest.approx(
        report().metrics[CANDIDATE]["average_precision"].value
    )
    assert registry.report(SYSTEM, "2") == report()
    assert (registry.folder(SYSTEM, "2").parent / "curve.png").read_bytes() == b"png"


@pytest.mark.parametrize("field", [field.name for field in dataclasses.fields(ModelCard)])
def test_a_card_that_lacks_a_field_is_refused_by_name(registry: ModelRegistry, field: str) -> None:
    card = registry.card(SYSTEM, "1")
    empty = type(getattr(card, field))()
    with pytest.raises(IncompleteCardError, match=field):
        dataclasses.replace(card, **{field: empty}).check()


def test_registration_without_an_owner_leaves_no_version(registry: ModelRegistry) -> None:
    before = registry.versions(SYSTEM)
    with pytest.raises(IncompleteCardError, match="contact"):
        registry.register(dataclasses.replace(SYSTEM, contact=""), Toy(""), training(), report())
    assert registry.versions(SYSTEM) == before


def test_a_changed_model_is_neither_loaded_nor_promoted(registry: ModelRegistry) -> None:
    version = registry.register(SYSTEM, Toy(""), training(), report())
    file = registry.folder(SYSTEM, version) / "toy.json"
    file.write_text(file.read_text() + " ")
    with pytest.raises(PipelineError, match=r"toy\.json differs"):
        registry.promote(SYSTEM, version)
    (file.parent / MANIFEST).unlink()
    with pytest.raises(PipelineError, match="the save was not finished"):
        registry.load(SYSTEM, version)
    assert registry.alias(SYSTEM) == "1"


def test_reading_does_not_import_mlflow(registry: ModelRegistry, settings: Settings) -> None:
    code = f"""
import sys
from pathlib import Path
from agora.settings import Settings
from agora.stores.models import ModelRegistry
from tests.toy_system import toy_system
registry = ModelRegistry(Settings(home=Path({str(settings.home)!r})))
print(registry.alias(toy_system()), registry.load(toy_system()).version, "mlflow" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.split() == ["1", "1", "False"], done.stderr


@pytest.mark.slow
def test_many_processes_register_at_once_and_each_gets_its_own_version(tmp_path: Path) -> None:
    code = f"""
from pathlib import Path
from agora.settings import Settings
from agora.stores.models import ModelRegistry
from tests.stores.test_models import SYSTEM, Toy, report, training
registry = ModelRegistry(Settings(home=Path({str(tmp_path)!r})))
for _ in range(3):
    version = registry.register(SYSTEM, Toy(""), training(), report())
    registry.promote(SYSTEM, version)
    print(version)
"""
    running = [
        subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    printed = [process.communicate()[0].split() for process in running]
    assert sorted(int(version) for versions in printed for version in versions) == list(
        range(1, 10)
    )
    registry = ModelRegistry(Settings(home=tmp_path))
    assert registry.load(SYSTEM).version == registry.alias(SYSTEM)


def test_opening_the_registry_leaves_loggers_as_they_are(tmp_path: Path) -> None:
    logger = logging.getLogger("agora.test_models")
    ModelRegistry(Settings(home=tmp_path))._client()
    assert not logger.disabled
