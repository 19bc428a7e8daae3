"""An HTTP protocol whose routes can cut the connection, as a network that loses an answer does."""

from __future__ import annotations

from fastapi import Request

from booking_queue.web.protocol import BoundedProtocol


class CuttableProtocol(BoundedProtocol):
    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.scope["extensions"] = {"providers.cut": {"cut": self.transport.abort}}


def drop_connection(request: Request) -> None:
    request.scope["extensions"]["providers.cut"]["cut"]()
