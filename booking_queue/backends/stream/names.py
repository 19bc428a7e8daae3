"""What the streams are called, and the Lua that works on them."""

from __future__ import annotations

from booking_queue.domain.job import Priority
from booking_queue.ledger.script import source
from booking_queue.settings import Settings


def _lua(*names: str) -> str:
    return source("booking_queue.backends.stream", *names)


LUA = f"""do
local function work()
{_lua("streams.lua", "publish.lua", "consume.lua", "settle.lua")}
return stream
end
local function care(stream)
{_lua("tend.lua", "look.lua")}
end
{_lua("lazy.lua")}
end
"""


class Names:
    """`levels` are in the order of Priority, most urgent first."""

    def __init__(self, settings: Settings):
        self.stream = f"{settings.name_prefix}booking-stream"
        self.levels = [self.stream + level.suffix for level in Priority]
        self.dead = f"{self.stream}-dlq"
        self.group = f"{settings.name_prefix}booking-workers"
        self.wake = f"{settings.key_prefix}:stream:wake"
