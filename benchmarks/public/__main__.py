"""Run every public data set that is here: `python -m benchmarks.public [FORMAT ...]`.

The data are not part of the project; `AGORA_PUBLIC_DATA` names the folder that holds them. What is
absent is named with the place to get it from.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass
from time import perf_counter

from agora.protocols import PROTOCOLS, ProtocolError, Row
from agora.settings import settings
from agora.warehouse import WarehouseError
from benchmarks.results import show, write


@dataclass(frozen=True, slots=True)
class PublicSet:
    """A public data set and where it comes from."""

    protocol: str
    folder: str
    source: str


SETS = (
    PublicSet(
        "fraud-handbook",
        "fraud_handbook",
        "github.com/Fraud-Detection-Handbook/simulated-data-raw: its daily files, as one Parquet "
        "or CSV file or several",
    ),
    PublicSet(
        "beir",
        "scifact",
        "SciFact in BEIR's format (github.com/beir-cellar/beir): corpus.jsonl, queries.jsonl, "
        "qrels/train.tsv and qrels/test.tsv",
    ),
    PublicSet(
        "movielens",
        "ml-100k",
        "MovieLens 100K (grouplens.org/datasets/movielens/100k): u.data and u.item",
    ),
)


def main(wanted: list[str]) -> int:
    chosen = [public for public in SETS if not wanted or public.protocol in wanted]
    rows: list[Row] = []
    failed = False
    for public in chosen:
        path = settings().public_data and settings().public_data / public.folder
        if path is None or not path.exists():
            print(
                f"{public.protocol}: absent. Get {public.source}; put it into the folder "
                f"{public.folder} below the one that AGORA_PUBLIC_DATA names."
            )
            continue
        started = perf_counter()
        try:
            found = PROTOCOLS[public.protocol](path, {})
        except (ProtocolError, WarehouseError) as error:
            # The other sets are still measured.
            print(f"{public.protocol}: {error}", file=sys.stderr)
            failed = True
            continue
        rows += found
        show(found, f"{public.protocol}, {perf_counter() - started:.0f} s")
    if rows:
        print(f"written to {write('public', rows)}")
    return int(failed)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("format", nargs="*", help=f"Of {', '.join(PROTOCOLS)}; all if none.")
    sys.exit(main(parser.parse_args().format))
