"""RQ as a backend: its own keys and records, so that its tools and its worker understand what we do.

The Lua beside `rq/` runs in the same scripts as the ledger's: what is changed there and in RQ's keys changes together.
"""

from __future__ import annotations

from booking_queue.backends.rq.consumer import QUEUE, RqConsumer
from booking_queue.backends.rq.publisher import STATES, RqPublisher
from booking_queue.ledger.script import source

LUA = source("booking_queue.backends.rq", "record.lua", "publish.lua", "take.lua", "verbs.lua", "tend.lua", "views.lua")

__all__ = ["LUA", "QUEUE", "STATES", "RqConsumer", "RqPublisher"]
