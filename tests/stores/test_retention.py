"""A week's answers can be replayed, and the disk is not filled for it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from agora.stores.retention import Kept, Retention

NOON = datetime(2026, 3, 20, 12, tzinfo=UTC)
DAY, HOUR = timedelta(days=1), timedelta(hours=1)


def made(*ages: timedelta, size: int = 1) -> list[Kept]:
    """Numbered from the oldest on."""
    return [Kept(number, NOON - age, size) for number, age in enumerate(ages, 1)]


def test_answers_of_a_week_can_be_replayed_however_many_indexes_gave_them() -> None:
    hourly = made(*(HOUR * n for n in range(24 * 9, -1, -1)))
    gone = Retention().outlived(hourly, NOON)
    # The one that served until a week ago went out of use then, not when it was made.
    oldest = hourly[len(gone)]
    assert gone == [each.number for each in hourly[: len(gone)]]
    assert NOON - oldest.made_at == timedelta(days=7, hours=1)


def test_the_newest_are_kept_however_old_they_are() -> None:
    monthly = made(*(DAY * 30 * n for n in range(9, -1, -1)))
    assert Retention().outlived(monthly, NOON) == [1, 2, 3]


def test_one_that_served_until_today_is_not_old_though_it_was_made_long_ago() -> None:
    assert Retention(fewest=1).outlived(made(DAY * 30, HOUR), NOON) == []


def test_when_the_room_is_full_each_day_keeps_its_last() -> None:
    # Noon and evening of three days, and this morning.
    kept = made(*(DAY * n + HOUR * h for n in (3, 2, 1) for h in (0, -8)), HOUR, size=10)
    tight = Retention(fewest=1, most_bytes=50)
    assert tight.outlived(kept, NOON) == [1, 3]
    assert Retention(fewest=1, most_bytes=20).outlived(kept, NOON) == [1, 2, 3, 4, 5]
    assert Retention(fewest=5, most_bytes=20).outlived(kept, NOON) == [1, 2]
