"""Which numbered things are kept: by age, so that answers can be replayed, within a room on disk.

A thing is needed as long as an answer that it gave may be asked for again: its age counts from the
moment when the next one took over.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime


class Kept(NamedTuple):
    """One of them.

    Attributes:
        number: Counts up.
        made_at: When.
        size: Bytes on disk.
    """

    number: int
    made_at: datetime
    size: int


@dataclass(frozen=True, slots=True)
class Retention:
    """How long.

    Attributes:
        age: Answers of this long can be replayed.
        fewest: The newest, kept however old and large.
        most_bytes: Room that all of them may take. When it is full, those go first that another
            one followed on the same day, the oldest first: each day keeps its last.
    """

    age: timedelta = timedelta(days=7)
    fewest: int = 7
    most_bytes: int = 50_000_000_000

    def outlived(self, kept: Sequence[Kept], now: datetime) -> list[int]:
        """Numbers of those that may go."""
        order = sorted(kept)
        older = order[: max(len(order) - self.fewest, 0)]
        followed = dict(pairwise(order))
        gone = [each for each in older if now - followed[each].made_at > self.age]
        left = [each for each in order if each not in gone]
        within = [
            each
            for each in left
            if each in followed and followed[each].made_at.date() == each.made_at.date()
        ]
        room = self.most_bytes - sum(each.size for each in left)
        for each in dict.fromkeys((*within, *left)):
            if room >= 0:
                break
            if each in older:
                gone.append(each)
                room += each.size
        return sorted(each.number for each in gone)
