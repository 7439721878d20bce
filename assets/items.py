"""What systems that choose from items have besides: an index, and lists that are kept."""

from collections.abc import Sequence

import dagster as dg

from agora.items import Items
from agora.serving.index_update import update_index
from agora.serving.precomputed import publish_lists
from agora.settings import Settings
from agora.stores.drain import PARTITION
from agora.stores.lake import Lake
from agora.stores.models import ModelRegistry
from agora.stores.online import OnlineStore
from agora.system import System
from assets.partitions import DAILY, ONE_RUN
from assets.stage import asset_of, check_spec, keys_of
from resources.compute import SCORING


class IndexConfig(dg.Config):
    """How an index is made."""

    anew: bool = False
    """Compute every item's part again, instead of only what has changed."""


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
        description="One row per item of the catalogue as known now, over the champion's models.",
    )
    def built(
        config: IndexConfig,
        lake: dg.ResourceParam[Lake],
        models: dg.ResourceParam[ModelRegistry],
        settings: dg.ResourceParam[Settings],
    ) -> dg.MaterializeResult:
        made = update_index(system, lake, models, settings, anew=config.anew)
        return dg.MaterializeResult(
            metadata={
                "dagster/row_count": made.items,
                "index": str(made.number),
                "is_new": made.is_new,
                "features_until": dg.MetadataValue.timestamp(made.made_of.features_until),
                "known_at": dg.MetadataValue.timestamp(made.made_of.known_at),
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
