"""MovieLens as rows of our contracts."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING

import polars as pl
import pytest

from agora.ingest import ingest
from agora.sources import SOURCES, SourceError
from agora.sources.movielens import GENRES, read_films, read_ratings
from agora.stores.lake import Lake
from agora.tables import CUSTOMERS, INTERACTIONS, MERCHANTS, PRODUCTS

if TYPE_CHECKING:
    from pathlib import Path

ROWS = [(196, 242, 3, 881250949), (186, 302, 4, 891717742), (196, 302, 5, 881250950)]
TITLES = {242: ("Kolya: a Film (1996)", "Comedy"), 302: ("Fête, La (1997)", "Crime")}


def folder(path: Path, form: str) -> Path:
    """The same ratings and films in one of the three formats."""
    path.mkdir()
    if form == "csv":
        lines = [",".join(map(str, row)) for row in ROWS]
        (path / "ratings.csv").write_text("\n".join(["userId,movieId,rating,timestamp", *lines]))
        films = [f'{item},"{title}",{genre}|Drama' for item, (title, genre) in TITLES.items()]
        (path / "movies.csv").write_text("\n".join(["movieId,title,genres", *films]))
        return path
    name, separator = {"100k": ("u.data", "\t"), "dat": ("ratings.dat", "::")}[form]
    (path / name).write_text("\n".join(separator.join(map(str, row)) for row in ROWS) + "\n")
    if form == "dat":
        films = [f"{item}::{title}::{genre}|Drama" for item, (title, genre) in TITLES.items()]
        (path / "movies.dat").write_text("\n".join(films), encoding="latin-1")
        return path
    flags = {genre: [str(int(name == genre)) for name in GENRES] for genre in GENRES}
    films = [
        "|".join([str(item), title, "01-Jan-1997", "", "http://x", *flags[genre]])
        for item, (title, genre) in TITLES.items()
    ]
    (path / "u.item").write_text("\n".join(films), encoding="latin-1")
    return path


@pytest.mark.parametrize("form", ["100k", "dat", "csv"])
def test_the_three_formats_hold_the_same(form: str, tmp_path: Path) -> None:
    path = folder(tmp_path / form, form)
    assert read_ratings(path).rows() == ROWS
    assert {row[0]: row[1:] for row in read_films(path).rows()} == TITLES


def test_every_row_fits_our_contracts_and_lands_once(tmp_path: Path) -> None:
    path = folder(tmp_path / "ml", "100k")
    landing = tmp_path / "landing"
    summary = SOURCES["movielens"].land(path, landing)
    assert summary.rows == {"customers": 2, "merchants": 1, "products": 2, "interactions": 3}
    assert (summary.start, summary.end) == (date(2001, 12, 6), date(2002, 4, 7))
    lake = Lake(str(tmp_path / "lake"))
    for table in (CUSTOMERS, MERCHANTS, PRODUCTS, INTERACTIONS):
        report = ingest(lake, str(landing), table, summary.start, summary.end)
        assert report.rows_accepted == report.rows_read == summary.rows[table.name]
        assert report.unexpected_columns == ()
    files = sorted((landing / "interactions").rglob("*.parquet"))
    rows = pl.concat([pl.read_parquet(file) for file in files]).sort("interaction_id")
    assert rows["kind"].to_list() == ["purchase", "click", "purchase"]
    assert SOURCES["movielens"].land(path, landing).files == 0


@pytest.mark.parametrize(
    ("text", "message"),
    [("", "no rows"), ("1\t2\tx\t4\n", "1 rows are not"), ("1\t2\t3\t4\n1\t2\t5\t6\n", "1 pairs")],
)
def test_what_does_not_fit_is_said(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "u.data").write_text(text)
    with pytest.raises(SourceError, match=message):
        read_ratings(tmp_path)


def test_an_empty_folder_names_the_files_that_would_do(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"none of u\.data, ratings\.dat, ratings\.csv"):
        read_ratings(tmp_path)
