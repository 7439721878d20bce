"""What systems that choose from items have besides: an index, and lists that are kept."""

from collections.abc import Sequence

import dagster as dg

from agora.items import Items, catalogue_of
from agora.pipeline import is_of_items
from agora.serving.index_gate import index_gate
from agora.serving.precomputed import publish_lists
from agora.settings import Settings
from agora.stores.drain import PARTITION
from agora.stores.indexes import attach, publish_index
from agora.stores.lake import Lake
from agora.stores.models import ModelRegistry
from agora.stores.online import OnlineStore
from agora.system import System
from assets.learning import known_until
from assets.partitions import DAILY, ONE_RUN
from assets.stage import asset_of, check_spec, keys_of
from resources.compute import SCORING


def index(system: System, tables: Sequence[str]) -> dg.AssetsDefinition:
    """`<system>/index` and its blocking check `gate`."""
    asset = asset_of(system)

    @asset(
        "index",
        kinds={"python"},
        tags=SCORING,
        deps=[[system.name, "bento"], *keys_of(tables)],
        check_specs=[
            check_spec(
                system,
                "index",
                "gate",
                "The new index answers golden requests and has lost no part of the catalogue.",
                blocking=True,
            )
        ],
        description="One row per item of the catalogue as known, over the champion's models.",
    )
    def built(
        lake: dg.ResourceParam[Lake],
        models: dg.ResourceParam[ModelRegistry],
        settings: dg.ResourceParam[Settings],
    ) -> dg.MaterializeResult:
        champion, as_of = models.load(system), known_until(lake, system)
        assert is_of_items(champion), "only systems of items have this asset"
        # From the index that serves: what has not changed need not be computed again.
        served = attach(champion, settings.indexes, system.name).pipeline
        new = served.with_items(catalogue_of(system, lake, as_of))
        made = publish_index(system, new, settings, index_gate(system))
        return dg.MaterializeResult(
            metadata={
                "dagster/row_count": made.items,
                "index": str(made.number),
                "as_of": dg.MetadataValue.timestamp(as_of),
            },
            check_results=[
                dg.AssetCheckResult(
                    check_name="gate",
                    passed=not made.reasons,
                    description="; ".join(made.reasons),
                )
            ],
        )

    return built


def lists(system: System, items: Items) -> dg.AssetsDefinition:
    """`<system>/lists`."""
    asset = asset_of(system)

    @asset(
        "lists",
        kinds={"redis"},
        tags=SCORING,
        deps=[[system.name, "predictions"]],
        partitions_def=DAILY,
        backfill_policy=ONE_RUN,
        description="One list per key in the online store: the newest day's, made in batch.",
    )
    def kept(
        context: dg.AssetExecutionContext,
        lake: dg.ResourceParam[Lake],
        online: dg.ResourceParam[OnlineStore],
    ) -> dg.MaterializeResult:
        day = context.partition_key_range.end
        rows = lake.read(f"{system.name}/predictions", where=f"{PARTITION} = date '{day}'")
        count = publish_lists(system, items, online, rows)
        return dg.MaterializeResult(metadata={"dagster/row_count": count, "day": day})

    return kept
