from __future__ import annotations

import asyncio
import hashlib
import io
import os
import stat
import time
from pathlib import Path
from typing import Any

import pytest
from pypdf import PdfReader

from booking_queue.domain.errors import RetryableError
from booking_queue.effects.documents import Documents, render

KEY = "6b1b3c3e-7f6e-4c7e-9d1e-111111111111:document"
FIELDS: dict[str, Any] = {
    "bookingId": "6b1b3c3e-7f6e-4c7e-9d1e-111111111111",
    "confirmationNumber": "CONF-ABCDEFGH",
    "bookedAt": "2026-01-31T12:00:00.123Z",
    "price": 2_712_345,
    "currency": "EUR",
    "userId": "user-1",
    "hotelId": "hotel-17",
    "checkIn": "2026-02-01",
    "checkOut": "2026-02-04",
    "guests": 2,
    "roomType": "suite",
}


def text_of(pdf: bytes) -> str:
    (page,) = PdfReader(io.BytesIO(pdf)).pages
    assert [round(float(side)) for side in page.mediabox[2:]] == [595, 842]  # A4
    return page.extract_text()


def test_the_page_says_what_was_booked() -> None:
    text = text_of(render(FIELDS))
    for part in ("Booking confirmation", "CONF-ABCDEFGH", "user-1", "hotel-17", "Suite", "2026-02-01", "2026-02-04"):
        assert part in text
    assert "EUR 27,123.45" in text and FIELDS["bookingId"] in text and "Nights 3" in text


def test_equal_fields_give_equal_bytes_whenever_and_in_whatever_order() -> None:
    first = render(FIELDS)
    time.sleep(1.1)  # the second is what a PDF's own dates count in
    assert render(dict(reversed(FIELDS.items()))) == first
    assert render(FIELDS | {"guests": 3}) != first


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"bookedAt": "nonsense", "checkIn": "x", "price": "y"},
        dict.fromkeys(FIELDS, "日本 \u202e\x00\ud800 ő"),
        dict.fromkeys(FIELDS, "W" * 100),
        dict.fromkeys(FIELDS, "a b " * 25),
        dict.fromkeys(FIELDS, None),
    ],
)
def test_any_text_makes_a_page(fields: dict[str, Any]) -> None:
    assert "Booking confirmation" in text_of(render(fields))


async def test_it_is_stored_under_its_key(tmp_path: Path) -> None:
    documents = Documents(tmp_path / "new")
    stored = await documents.render_and_store(KEY, FIELDS)
    content = (tmp_path / "new" / stored["path"]).read_bytes()
    assert content == render(FIELDS)
    assert stored["sha256"] == hashlib.sha256(content).hexdigest() and stored["bytes"] == len(content)


async def test_making_it_again_and_again_at_once_is_harmless(tmp_path: Path) -> None:
    documents = Documents(tmp_path)
    results = await asyncio.gather(*(documents.render_and_store(KEY, FIELDS) for _ in range(20)))
    assert all(result == results[0] for result in results)
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == [Path(results[0]["path"]).name]


@pytest.mark.parametrize(
    "key",
    [
        "",
        "..",
        ".",
        "../../etc/passwd",
        "a/b",
        "a\\b",
        "/etc/passwd",
        "a.b",
        "a\x00b",
        "a\n",
        "ü",
        "k" * 201,
        ":a",
        "-a",
    ],
)
async def test_no_key_leads_out_of_the_directory(tmp_path: Path, key: str) -> None:
    documents = Documents(tmp_path)
    with pytest.raises(ValueError, match="not a document key"):
        await documents.render_and_store(key, FIELDS)
    assert list(tmp_path.iterdir()) == []


async def test_different_keys_have_different_files(tmp_path: Path) -> None:
    documents = Documents(tmp_path)
    keys = ["a:b", "a_b", "a-b", "ab", "a:b:2"]
    assert len({(await documents.render_and_store(key, FIELDS))["path"] for key in keys}) == len(keys)


async def test_a_disk_that_refuses_is_retryable_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    documents = Documents(tmp_path)

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        with pytest.raises(RetryableError, match="No space left on device"):
            await documents.render_and_store(KEY, FIELDS)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


async def test_a_crash_before_the_rename_shows_nobody_half_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    documents = Documents(tmp_path)
    synced: list[str] = []
    fsync = os.fsync

    def watch(descriptor: int) -> None:
        kind = "directory" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "file"
        synced.append(f"{kind} {'present' if list(tmp_path.rglob('*.pdf')) else 'absent'}")
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", watch)
    await documents.render_and_store(KEY, FIELDS)
    assert synced == ["file absent", "directory present"]


async def test_what_is_old_and_not_needed_is_swept(tmp_path: Path) -> None:
    documents = Documents(tmp_path)
    old, needed, new = "old:document", "needed:document:2", "new:document"
    paths = [tmp_path / (await documents.render_and_store(key, FIELDS))["path"] for key in (old, needed, new)]
    left_over = paths[0].with_suffix(".1234.tmp")
    left_over.touch()
    for path in (paths[0], paths[1], left_over):
        os.utime(path, (1000, 1000))

    async def is_needed(key: str) -> bool:
        return key == needed

    assert await documents.sweep(500, is_needed) == 2
    assert [path.exists() for path in (*paths, left_over)] == [False, True, True, False]


async def test_what_goes_while_it_is_swept_holds_up_no_sweep(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    documents = Documents(tmp_path)
    paths = [tmp_path / (await documents.render_and_store(key, FIELDS))["path"] for key in ("a", "b", "c", "d")]
    for path in paths:
        os.utime(path, (1000, 1000))
    looked: list[Path] = []
    look = Path.stat

    def goes(path: Path, **options: Any) -> os.stat_result:
        if path.suffix == ".pdf":
            looked.append(path)
            if len(looked) == 1:
                path.unlink()
        return look(path, **options)

    monkeypatch.setattr(Path, "stat", goes)

    async def is_needed(_: str) -> bool:
        return False

    assert await documents.sweep(500, is_needed) == 3
    assert not [path for path in paths if path.exists()]


async def test_the_loop_is_not_held_while_pages_are_made(tmp_path: Path) -> None:
    documents = Documents(tmp_path)
    work = asyncio.gather(*(documents.render_and_store(f"k{number}", FIELDS) for number in range(50)))
    turns = 0
    while not work.done():
        turns += 1
        await asyncio.sleep(0)
    await work
    assert turns > 50
