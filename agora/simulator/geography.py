"""Where things are: cities, and places scattered around them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from agora.simulator.arrays import Floats, Ints

# Country, degrees north and east, hours ahead of UTC, weight of its people. Grouped by country.
CITIES = (
    ("AT", 48.21, 16.37, 1, 2.0),
    ("BE", 50.85, 4.35, 1, 2.0),
    ("BR", -23.55, -46.63, -3, 1.0),
    ("CZ", 50.08, 14.44, 1, 1.5),
    ("DE", 52.52, 13.41, 1, 6.0), ("DE", 53.55, 9.99, 1, 4.0), ("DE", 48.14, 11.58, 1, 4.0),
    ("DE", 50.94, 6.96, 1, 3.0), ("DE", 50.11, 8.68, 1, 2.5),
    ("DK", 55.68, 12.57, 1, 1.5),
    ("ES", 40.42, -3.70, 1, 4.0), ("ES", 41.39, 2.17, 1, 3.0), ("ES", 39.47, -0.38, 1, 1.5),
    ("FR", 48.86, 2.35, 1, 6.0), ("FR", 45.76, 4.84, 1, 2.5), ("FR", 43.30, 5.37, 1, 2.0),
    ("GB", 51.51, -0.13, 0, 6.0), ("GB", 53.48, -2.24, 0, 2.5), ("GB", 55.86, -4.25, 0, 1.5),
    ("IE", 53.35, -6.26, 0, 1.0),
    ("IN", 19.08, 72.88, 5, 0.5),
    ("IT", 41.90, 12.50, 1, 4.0), ("IT", 45.46, 9.19, 1, 3.5), ("IT", 40.85, 14.27, 1, 1.5),
    ("NG", 6.52, 3.38, 1, 0.3),
    ("NL", 52.37, 4.90, 1, 3.0), ("NL", 51.92, 4.48, 1, 2.0),
    ("PL", 52.23, 21.01, 1, 3.0), ("PL", 50.06, 19.94, 1, 1.5),
    ("PT", 38.72, -9.14, 0, 1.5),
    ("RO", 44.43, 26.10, 2, 1.0),
    ("SE", 59.33, 18.07, 1, 2.0),
    ("TR", 41.01, 28.98, 3, 0.6),
    ("US", 40.71, -74.01, -5, 3.0), ("US", 34.05, -118.24, -8, 2.0), ("US", 41.88, -87.63, -6, 1.5),
    ("VN", 10.82, 106.63, 7, 0.3),
)  # fmt: skip

COUNTRIES = tuple(dict.fromkeys(city[0] for city in CITIES))
COUNTRY_OF = np.array([COUNTRIES.index(city[0]) for city in CITIES], dtype=np.int64)
LATITUDE = np.array([city[1] for city in CITIES])
LONGITUDE = np.array([city[2] for city in CITIES])
HOURS_AHEAD = np.array([city[3] for city in CITIES], dtype=np.int64)
WEIGHT = np.array([city[4] for city in CITIES]) / sum(city[4] for city in CITIES)

HOME_SPREAD = 0.12
"""Degrees: homes and shops lie within some 15 km of the centre."""


def cities(random: np.random.Generator, count: int) -> Ints:
    """Cities drawn by their people."""
    drawn: Ints = random.choice(len(CITIES), count, p=WEIGHT)
    return drawn


def foreign_cities(random: np.random.Generator, home: Ints) -> Ints:
    """Cities in other countries, equally likely whatever their size: where thieves are."""
    drawn = random.integers(0, len(CITIES), (4, len(home)))
    found: Ints = drawn[0]
    for again in drawn[1:]:
        found = np.where(COUNTRY_OF[found] == COUNTRY_OF[home], again, found)
    return found


def scatter(random: np.random.Generator, city: Ints, spread: float) -> tuple[Floats, Floats]:
    """Latitudes and longitudes around cities."""
    shift = random.normal(0.0, spread, (2, len(city)))
    return (
        np.round(np.clip(LATITUDE[city] + shift[0], -90, 90), 4),
        np.round(np.clip(LONGITUDE[city] + shift[1], -180, 180), 4),
    )
