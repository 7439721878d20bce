"""Dagster's SQLite event log, with batches written in one transaction.

A range of days is one event per asset and day. Dagster hands them over in batches
(DAGSTER_EVENT_BATCH_SIZE), but its SQLite storage opens, writes and syncs two files for each.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from dagster import EventLogEntry
from dagster._core.events import ASSET_EVENTS
from dagster._core.storage.event_log.sqlite import SqliteEventLogStorage

if TYPE_CHECKING:
    from dagster._serdes import ConfigurableClassData


class BatchedEventLogStorage(SqliteEventLogStorage):
    """Stores a batch of asset events with two commits instead of thousands."""

    @classmethod
    def from_config_value(
        cls, inst_data: ConfigurableClassData | None, config_value: Any
    ) -> BatchedEventLogStorage:
        """Called by Dagster with what `dagster.yaml` says."""
        return cls(inst_data=inst_data, **config_value)

    def store_event_batch(self, events: Sequence[EventLogEntry]) -> None:
        """Store the asset events of one run together, everything else one by one."""
        together = [event for event in events if event.dagster_event_type in ASSET_EVENTS]
        for event in events:
            if event.dagster_event_type not in ASSET_EVENTS:
                self.store_event(event)
        for run_id in {event.run_id for event in together}:
            self._store_together(run_id, [event for event in together if event.run_id == run_id])

    def _store_together(self, run_id: str, events: list[EventLogEntry]) -> None:
        inserts = [self.prepare_insert_event(event) for event in events]
        with self.run_connection(run_id) as connection:
            for insert in inserts:
                connection.execute(insert)
        with self.index_transaction() as connection:
            ids: list[int] = []
            newest: dict[Any, tuple[EventLogEntry, int]] = {}
            for event, insert in zip(events, inserts, strict=True):
                event_id = connection.execute(insert).inserted_primary_key[0]
                ids.append(event_id)
                key = event.get_dagster_event().asset_key
                newest[key, event.dagster_event_type] = (event, event_id)
            self._store_asset_event_tags(connection, events, ids)
            # The asset's own row keeps its newest event only: one write instead of one per day.
            for event, event_id in newest.values():
                self._store_asset_event(connection, event, event_id)
