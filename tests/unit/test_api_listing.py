from __future__ import annotations

import base64

import pytest

from api_service.listing import cursor_of, place_of
from booking_queue.ledger.index import Place

PLACE = Place(1795324726601, "634e4618-b814-4bab-851f-f50c58d05822")


def test_a_cursor_leads_back_to_its_place() -> None:
    cursor = cursor_of(PLACE)
    assert place_of(cursor) == PLACE
    assert cursor.isascii() and "=" not in cursor and "." not in cursor


@pytest.mark.parametrize("text", ["", "x", "no cursor", "é", "AA==", "1.2", "a" * 299])
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not a cursor"):
        place_of(text)


@pytest.mark.parametrize("inside", ["-1.id", "1e9.id", "5.", ".id", "5", "99999999999999999999.id", "٣.id"])
def test_what_is_inside_is_looked_at_too(inside: str) -> None:
    with pytest.raises(ValueError, match="not a cursor"):
        place_of(base64.urlsafe_b64encode(inside.encode()).decode())
