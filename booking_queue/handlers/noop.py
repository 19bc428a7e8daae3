"""Does nothing: what is left is what the queue itself costs."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

from booking_queue.handlers.base import Handler, Run


class Anything(BaseModel):
    model_config = ConfigDict(extra="allow")


async def run(job: Run, data: Anything) -> None:
    return None


HANDLER = Handler("noop", Anything, run)
