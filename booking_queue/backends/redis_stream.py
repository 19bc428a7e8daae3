"""Redis Streams: a stream a level, one consumer group, and the ledger's changes in the same scripts.

`stream/` is the mechanism: a publisher and a consumer over Lua (`*.lua`), the tender that promotes what is due and
trims what is done, the waker that blocks. The order of reading and what every verb does stand in the Lua.
"""

from booking_queue.backends.stream.consumer import StreamConsumer
from booking_queue.backends.stream.names import LUA, Names
from booking_queue.backends.stream.publisher import GroupBusy, StreamPublisher, UnknownJob

__all__ = ["LUA", "GroupBusy", "Names", "StreamConsumer", "StreamPublisher", "UnknownJob"]
