"""Adapters from public formats to the landing contracts.

`SOURCES` names each as `agora ingest <name> PATH` does; `agora.sources.files` takes any file that
fits a contract already.
"""

from __future__ import annotations

from agora.sources.beir import BEIR
from agora.sources.fraud_handbook import FRAUD_HANDBOOK
from agora.sources.movielens import MOVIELENS
from agora.sources.source import Source, SourceError, Summary

SOURCES: dict[str, Source] = {source.name: source for source in (FRAUD_HANDBOOK, BEIR, MOVIELENS)}

__all__ = ["SOURCES", "Source", "SourceError", "Summary"]
