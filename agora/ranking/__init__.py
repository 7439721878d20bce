"""Choosing and ordering items: models of taste, rankers, re-rankers and how lists are judged.

Nothing here knows a system. `interactions` holds who took what; `collaborative`, `factors` and
`towers` learn from it; `lambdarank` orders candidates; `diversity` and `exploration` make the list
that is shown; `metrics`, `position_bias` and `off_policy` judge it.
"""
