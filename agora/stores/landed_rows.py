"""Rows of landed files, in slices: Parquet in its own types, CSV and JSON lines as text."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import duckdb
import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SLICE_ROWS = 262_144
READ_BYTES = 8 * 2**20
MOST_KEYS = 1000
COMPRESSED = {".gz": "gzip", ".zst": "zstd"}


class UnreadableFileError(ValueError):
    """The file cannot be read as what its name says; the text names the fix."""


@dataclass(frozen=True)
class Slice:
    """Some rows of a file.

    Attributes:
        rows: The columns as the file holds them, and `row_number`, 1 for the first data row.
        broken: Lines that are no rows: `row_number`, `reasons`, `payload`.
    """

    rows: pl.DataFrame
    broken: pl.DataFrame = field(default_factory=lambda: broken_lines([], "", []))


def broken_lines(numbers: Any, reason: str, texts: Any) -> pl.DataFrame:
    """Lines that are no rows, for one reason."""
    return pl.DataFrame(
        {"row_number": numbers, "reasons": [[reason]] * len(numbers), "payload": texts},
        schema={"row_number": pl.Int64, "reasons": pl.List(pl.String), "payload": pl.String},
    )


def read_slices(opened: Callable[[], Any], name: str) -> Iterator[Slice]:
    """Rows of a file, slice by slice; without rows one empty slice that has the columns.

    Args:
        opened: Opens the file, for random access; CSV is opened twice, for its header and its rows.
        name: File name, whose ending says the format.

    Raises:
        UnreadableFileError: Not a known format, empty, truncated or damaged.
    """
    plain, compression = name.lower(), ""
    for suffix, codec in COMPRESSED.items():
        if plain.endswith(suffix):
            plain, compression = plain.removesuffix(suffix), codec
    reader = next((found for suffix, found in READERS.items() if plain.endswith(suffix)), None)
    if reader is None or (compression and plain.endswith(".parquet")):
        raise UnreadableFileError(
            f"{name}: unknown ending; deliver {', '.join(READERS)} (or .csv.gz, .jsonl.gz)"
        )
    if opened().size() == 0:
        raise UnreadableFileError(
            f"{name}: the file is empty (0 bytes); a file without rows still needs its header"
        )
    try:
        yield from reader(lambda: _decompressed(opened(), compression), name)
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        said = str(error).splitlines()[0].rstrip(".")
        kind = plain.rpartition(".")[2]
        raise UnreadableFileError(
            f"{name}: cannot be read as {kind} ({said}); it is truncated or damaged: deliver it "
            "again, under a .tmp name until it is complete"
        ) from error


def _decompressed(source: Any, compression: str) -> Any:
    return pa.CompressedInputStream(source, compression) if compression else source


def _parquet(opened: Callable[[], Any], name: str) -> Iterator[Slice]:
    file = pa.parquet.ParquetFile(opened())
    read = 0
    for batch in file.iter_batches(SLICE_ROWS):
        yield Slice(_numbered(pa.Table.from_batches([batch]), read))
        read += batch.num_rows
    if not read:
        yield Slice(_numbered(file.schema_arrow.empty_table(), 0))


def _csv(opened: Callable[[], Any], name: str) -> Iterator[Slice]:
    set_aside: list[pa.csv.InvalidRow] = []

    def skip(row: pa.csv.InvalidRow) -> str:
        set_aside.append(row)
        return "skip"

    names = _csv_header(opened(), name)
    # With one thread Arrow knows the number of a broken line.
    batches = pa.csv.open_csv(
        opened(),
        read_options=pa.csv.ReadOptions(use_threads=False, block_size=READ_BYTES),
        parse_options=pa.csv.ParseOptions(newlines_in_values=True, invalid_row_handler=skip),
        convert_options=pa.csv.ConvertOptions(
            column_types=dict.fromkeys(names, pa.string()),
            strings_can_be_null=True,
            null_values=[""],
        ),
    )
    read, told = 0, 0
    for batch in batches:
        # Arrow counts the header as row 1 and does not number the rows that it keeps.
        aside = np.array([row.number - 1 for row in set_aside], dtype=np.int64)
        position = np.arange(read, read + batch.num_rows)
        number = (
            position + 1 + np.searchsorted(aside - 1 - np.arange(len(aside)), position, "right")
        )
        rows = _numbered(pa.Table.from_batches([batch]), 0).with_columns(
            row_number=pl.Series(number)
        )
        yield Slice(rows, _ragged(set_aside[told:], len(names)))
        read, told = read + batch.num_rows, len(set_aside)
    if not read or told < len(set_aside):
        rows = _numbered(batches.schema.empty_table(), 0)
        yield Slice(rows, _ragged(set_aside[told:], len(names)))


def _csv_header(stream: Any, name: str) -> list[str]:
    options = pa.csv.ParseOptions(newlines_in_values=True, invalid_row_handler=lambda _: "skip")
    names: list[str] = pa.csv.open_csv(stream, parse_options=options).schema.names
    repeated = sorted({column for column in names if names.count(column) > 1})
    if repeated:
        raise UnreadableFileError(
            f"{name}: the header names {', '.join(repeated)} twice; name each column once"
        )
    if len(names) == 1 and any(mark in names[0] for mark in ";\t|"):
        raise UnreadableFileError(f"{name}: the header holds no comma; separate columns by commas")
    return names


def _ragged(rows: list[Any], width: int) -> pl.DataFrame:
    frame = broken_lines([row.number - 1 for row in rows], "", [row.text for row in rows])
    counts = pl.Series([row.actual_columns for row in rows], dtype=pl.Int64)
    said = pl.format("line: has {} fields, the header has {}", counts, pl.lit(width))
    return frame.with_columns(pl.concat_list(said).alias("reasons")) if rows else frame


def _json_lines(opened: Callable[[], Any], name: str) -> Iterator[Slice]:
    read = 0
    with duckdb.connect(":memory:", config={"threads": 1}) as connection:
        for block in _blocks(opened()):
            text = block.decode("utf-8-sig" if read == 0 else "utf-8")
            if read == 0 and text.lstrip().startswith("["):
                raise UnreadableFileError(f"{name}: holds a JSON array; write one object per line")
            lines = pl.DataFrame({"line": [text.removesuffix("\n")]}).select(
                pl.col("line").str.split("\n").explode()
            )
            yield _json_slice(connection, lines.with_row_index("row_number", read + 1), name)
            read += lines.height


def _blocks(stream: Any) -> Iterator[bytes]:
    """Whole lines, some megabytes at a time."""
    rest = b""
    while block := stream.read(READ_BYTES):
        rest += block
        end = rest.rfind(b"\n") + 1
        if end:
            yield rest[:end]
            rest = rest[end:]
    if rest:
        yield rest


def _json_slice(connection: duckdb.DuckDBPyConnection, lines: pl.DataFrame, name: str) -> Slice:
    lines = lines.with_columns(
        pl.col("row_number").cast(pl.Int64), pl.col("line").str.strip_chars()
    )
    lines = lines.filter(pl.col("line") != "")
    connection.register("lines", lines.to_arrow())
    valid = connection.sql("select json_valid(line) as valid from lines").to_arrow_table()
    is_row = pl.Series(valid["valid"]) & lines["line"].str.starts_with("{")
    broken = lines.filter(~is_row)
    connection.register("rows", lines.filter(is_row).to_arrow())
    keys = connection.sql(
        "select distinct unnest(json_keys(line)) as name from rows order by all"
    ).fetchall()
    if len(keys) > MOST_KEYS:
        raise UnreadableFileError(
            f"{name}: has more than {MOST_KEYS} different keys; use the contract's columns"
        )
    names = [key for (key,) in keys if key != "row_number"]
    values = [f"json_extract_string(line, {_pointer(key)}) as {_quoted(key)}" for key in names]
    rows = connection.sql(f"select {', '.join(['row_number', *values])} from rows").to_arrow_table()
    reason = "line: is not a JSON object"
    return Slice(pl.DataFrame(rows), broken_lines(broken["row_number"], reason, broken["line"]))


def _pointer(key: str) -> str:
    """A JSON pointer as an SQL literal: any key can be written as one."""
    return "'/" + key.replace("~", "~0").replace("/", "~1").replace("'", "''") + "'"


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _numbered(rows: pa.Table, before: int) -> pl.DataFrame:
    frame = pl.DataFrame(rows)
    numbers = pl.int_range(before + 1, before + frame.height + 1, dtype=pl.Int64).alias(
        "row_number"
    )
    return frame.drop("row_number", strict=False).with_columns(numbers)


READERS: dict[str, Callable[[Callable[[], Any], str], Iterator[Slice]]] = {
    ".parquet": _parquet,
    ".csv": _csv,
    ".jsonl": _json_lines,
    ".json": _json_lines,
}
