"""Papers last as long as the record that tells of them."""

from __future__ import annotations

import os
from pathlib import Path

from booking_queue.domain.booking import effect_key
from booking_queue.effects.documents import Documents
from booking_queue.ledger.connection import connect
from booking_queue.settings import Settings
from tests.unit.book import Book
from worker_service.janitor import sweep


async def test_a_paper_goes_after_its_record(redis_settings: Settings, tmp_path: Path) -> None:
    redis = connect(redis_settings)
    book, documents = Book(redis, redis_settings), Documents(tmp_path)
    kept, gone = await book.job(), await book.job()
    paths = []
    for key in (effect_key(kept, "document"), effect_key(kept, "document", 2), effect_key(gone, "document")):
        paths.append(tmp_path / (await documents.render_and_store(key, {}))["path"])
        os.utime(paths[-1], (1000, 1000))
    await redis.delete(f"{book.prefix}:job:{gone}")
    assert await sweep(documents, book.ledger, redis_settings.ledger_retention) == 1
    assert [path.exists() for path in paths] == [True, True, False]
    await redis.aclose()
