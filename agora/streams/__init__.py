"""Fresh features: events of the log become feature rows within seconds.

`topics` says what is streamed; `models` is the batch's SQL, compiled; `history` and `memory` are
what it reads; `intake` makes rows of events; `features` computes; `sink` and `tables` are the
lake's side; `runner` turns the wheel of a topic, `running` those of all; `landing` gives the batch
its files; `producer` sends; `delivery` takes what services were told to the log.
"""
