"""What systems that choose products for visitors of the shop have in common.

Nothing here knows a system. `requests` is what callers say of a visit; `impressions` and `outcomes`
are what was shown and what came of it; `history` is what a visitor did; `lists` are shown lists as
rankers learn from them; `tiers` and `evaluation` run and judge the rankers.
"""
