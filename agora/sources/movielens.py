"""MovieLens' ratings, as they come in three formats, and as rows of our contracts.

`u.data` with `u.item` (100K), `ratings.dat` with `movies.dat` (1M, 10M), `ratings.csv` with
`movies.csv` (later ones). A rating of `LIKED` and more lands as a purchase, a lower one as a click:
our contracts know what customers do, not what they say. Films have no price or seller: all come
from one seller, at one of no currency. Ratings made before 2000 land `LATER`, as our contracts
take such times for those of a clock that was not set. (Harper and Konstan: The MovieLens Datasets,
2015.)
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import polars as pl

from agora.sources.landed import land_tables
from agora.sources.source import Source, SourceError
from agora.tables import CUSTOMERS, INTERACTIONS, MERCHANTS, PRODUCTS
from agora.validation import EARLIEST

if TYPE_CHECKING:
    from pathlib import Path

    from agora.sources.source import Summary

LIKED = 4.0
SELLER, NO_CURRENCY, UNKNOWN_COUNTRY = "movielens", "XXX", "ZZ"
LATER = timedelta(weeks=209)  # Four years that keep the days of the week.
RATINGS = {"u.data": "\t", "ratings.dat": "::", "ratings.csv": ","}
FILMS = {"u.item": "|", "movies.dat": "::", "movies.csv": ","}
GENRES = (
    "unknown", "Action", "Adventure", "Animation", "Children's", "Comedy", "Crime", "Documentary",
    "Drama", "Fantasy", "Film-Noir", "Horror", "Musical", "Mystery", "Romance", "Sci-Fi",
    "Thriller", "War", "Western",
)  # fmt: skip
FIRST_GENRE = 5  # Of u.item's columns.


def read_ratings(path: Path) -> pl.DataFrame:
    """Ratings in the file's order: `user`, `item`, `rating`, `rated_at` (seconds since 1970).

    Args:
        path: One of the three files, or its folder.

    Raises:
        SourceError: There is none, or it holds something else.
    """
    file = _file(path, RATINGS)
    parts = _columns(file, RATINGS[file.name], 4)
    ratings = parts.select(
        user=pl.col("field_0").cast(pl.Int64, strict=False),
        item=pl.col("field_1").cast(pl.Int64, strict=False),
        rating=pl.col("field_2").cast(pl.Float64, strict=False),
        rated_at=pl.col("field_3").cast(pl.Int64, strict=False),
    )
    wrong = ratings.filter(pl.any_horizontal(pl.all().is_null())).height
    if wrong or not ratings.height:
        raise SourceError(f"{file}: {wrong or 'no'} rows are not user, item, rating and time")
    twice = ratings.height - ratings.select("user", "item").n_unique()
    if twice:
        raise SourceError(f"{file}: {twice} pairs of user and item are rated more than once")
    return ratings


def read_films(path: Path) -> pl.DataFrame:
    """Films: `item`, `title`, `category` (the first genre).

    Raises:
        SourceError: There is no file of films.
    """
    folder = path if path.is_dir() else path.parent
    file = _file(folder, FILMS)
    if file.name == "u.item":
        parts = _columns(file, "|", FIRST_GENRE + len(GENRES))
        flags = [pl.col(f"field_{FIRST_GENRE + place}") == "1" for place in range(len(GENRES))]
        genre = pl.coalesce(
            pl.when(flag).then(pl.lit(name)) for flag, name in zip(flags, GENRES, strict=True)
        )
    else:
        parts = _columns(file, FILMS[file.name], 3)
        genre = pl.col("field_2").str.split("|").list.first()
    return parts.select(
        item=pl.col("field_0").cast(pl.Int64),
        title=pl.col("field_1"),
        category=genre.fill_null("unknown"),
    )


def land(path: Path, landing: Path) -> Summary:
    """Land users, films and ratings by arrival day; landing them again changes nothing.

    Args:
        path: The data set's folder.
        landing: Root of the landing folders.

    Raises:
        SourceError: No data, or not in the format.
    """
    ratings = read_ratings(path)
    at = pl.from_epoch("rated_at", time_unit="s").dt.replace_time_zone("UTC")
    early = ratings.select(at.min() < EARLIEST).item()
    rated = ratings.with_columns(
        customer_id=pl.col("user").cast(pl.String),
        product_id=pl.col("item").cast(pl.String),
        event_at=at.dt.cast_time_unit("us") + (LATER if early else timedelta()),
    )
    tables = {
        CUSTOMERS: _first_seen(rated, "customer_id").with_columns(country=pl.lit(UNKNOWN_COUNTRY)),
        MERCHANTS: _first_seen(rated.with_columns(merchant_id=pl.lit(SELLER)), "merchant_id")
        .with_columns(category=pl.lit("films"), country=pl.lit(UNKNOWN_COUNTRY)),
        PRODUCTS: _products(rated, read_films(path)),
        INTERACTIONS: _interactions(rated),
    }  # fmt: skip
    return land_tables("movielens", tables, landing)


MOVIELENS = Source("movielens", "Ratings of films: 100,000 by 943 users in the smallest set.", land)


def _products(rated: pl.DataFrame, films: pl.DataFrame) -> pl.DataFrame:
    named = films.select("title", "category", product_id=pl.col("item").cast(pl.String))
    return _first_seen(rated, "product_id").join(named, on="product_id", how="left").with_columns(
        pl.col("title").fill_null("unknown"),
        pl.col("category").fill_null("unknown"),
        merchant_id=pl.lit(SELLER),
        price=pl.lit(1.0),
        currency=pl.lit(NO_CURRENCY),
    )  # fmt: skip


def _interactions(rated: pl.DataFrame) -> pl.DataFrame:
    """One row per rating; what a user rated on one day is one visit."""
    return rated.select(
        "customer_id",
        "product_id",
        "event_at",
        interaction_id=pl.col("customer_id") + "-" + pl.col("product_id"),
        session_id=pl.col("customer_id") + "-" + pl.col("event_at").dt.strftime("%Y%m%d"),
        kind=pl.when(pl.col("rating") >= LIKED).then(pl.lit("purchase")).otherwise(pl.lit("click")),
        arrived_at=pl.col("event_at"),
    )


def _first_seen(rated: pl.DataFrame, key: str) -> pl.DataFrame:
    """One row per key, known from the midnight before its first rating."""
    midnight = pl.col("event_at").min().dt.truncate("1d").alias("event_at")
    seen = rated.group_by(key).agg(midnight).sort("event_at", key)
    return seen.with_columns(arrived_at=pl.col("event_at"))


def _file(path: Path, known: dict[str, str]) -> Path:
    files = [path / name for name in known] if path.is_dir() else [path]
    for file in files:
        if file.name in known and file.is_file():
            return file
    raise SourceError(f"{path}: none of {', '.join(known)} here; give the data set's folder")


def _columns(file: Path, separator: str, count: int) -> pl.DataFrame:
    """Fields of each line as text, `field_0` and on."""
    names = [f"field_{place}" for place in range(count)]
    text = file.read_bytes().decode("utf-8" if file.suffix == ".csv" else "latin-1")
    if separator == ",":
        try:
            frame = pl.read_csv(text.encode(), infer_schema=False, truncate_ragged_lines=True)
        except pl.exceptions.PolarsError as error:
            raise SourceError(f"{file}: {str(error).splitlines()[0]}") from error
        if frame.width < count:
            raise SourceError(f"{file}: {frame.width} columns, {count} expected")
        return frame.select(frame.columns[:count]).rename(
            dict(zip(frame.columns[:count], names, strict=True))
        )
    lines = pl.Series("line", text.splitlines(), dtype=pl.String)
    fields = lines.str.split_exact(separator, count - 1).struct.unnest()
    return fields.rename(dict(zip(fields.columns, names, strict=True)))
