"""What an RQ job asks for is read without importing, unpickling or trusting anything."""

from __future__ import annotations

import json
import pickle
import zlib
from pathlib import Path
from typing import Any

import pytest

from booking_queue.backends.rq.payload import FUNCTION, asked, loaded
from booking_queue.backends.rq.strangers import options_of
from booking_queue.domain.errors import UnreadableMessage
from booking_queue.domain.job import Priority

TYPES = {"booking", "noop"}


def stored(function: Any, *args: Any, **kwargs: Any) -> bytes:
    return json.dumps([function, None, list(args), kwargs]).encode()


@pytest.mark.parametrize("pack", [bytes, zlib.compress])
@pytest.mark.parametrize(
    "call",
    [
        stored(FUNCTION, "noop", {"n": 1}),
        stored(FUNCTION, "noop", data={"n": 1}),
        stored(FUNCTION, type="noop", data={"n": 1}),
        stored("noop", {"n": 1}),
        stored("noop", n=1),
    ],
)
def test_the_ways_to_ask_for_a_job(call: bytes, pack: Any) -> None:
    assert asked(pack(call), TYPES) == ("noop", {"n": 1})


@pytest.mark.parametrize("function", ["os.system", "booking ", "worker_service.rq_job", "", "builtins.eval"])
def test_another_function_is_not_run_and_the_reason_names_the_remedy(function: str) -> None:
    with pytest.raises(UnreadableMessage, match=f"Enqueue '{FUNCTION}' with a job type.*booking, noop"):
        asked(stored(function, "echo"), TYPES)


class Touch:
    """Unpickling it writes a file."""

    def __init__(self, path: str):
        self.path = path

    def __reduce__(self) -> Any:
        return Path.write_text, (Path(self.path), "unpickled")


@pytest.mark.parametrize("pack", [bytes, zlib.compress])
def test_a_pickle_is_never_loaded_and_the_reason_names_the_remedy(tmp_path: Path, pack: Any) -> None:
    trap = tmp_path / "trap"
    raw = pickle.dumps((FUNCTION, None, ("noop", Touch(str(trap))), {}))
    with pytest.raises(UnreadableMessage, match="serializer='json'"):
        asked(pack(raw), TYPES)
    assert not trap.exists()


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"\xff\xfe",
        b"null",
        b"[]",
        b'{"a":1}',
        stored(FUNCTION)[:-3],
        json.dumps([FUNCTION, "an instance", [], {}]).encode(),
        json.dumps([["os", "system"], None, [], {}]).encode(),
        stored(FUNCTION),
        stored(FUNCTION, "noop"),
        stored(FUNCTION, "noop", "text"),
        stored(FUNCTION, "noop", {}, {}),
        stored(FUNCTION, "noop", {}, extra=1),
        stored(FUNCTION, 7, {}),
        stored(FUNCTION, "", {}),
        stored(FUNCTION, "n" * 51, {}),
        stored("noop", "text"),
        stored("noop", {}, n=1),
        b"[" * 100_000,
    ],
)
def test_garbage_is_told_from_a_job(raw: bytes) -> None:
    with pytest.raises(UnreadableMessage):
        asked(raw, TYPES)


def test_what_inflates_beyond_a_megabyte_is_not_inflated() -> None:
    with pytest.raises(UnreadableMessage, match="more than 1048576 bytes"):
        asked(zlib.compress(b" " * 50_000_000), TYPES)


def test_meta_is_an_object_or_nothing() -> None:
    assert loaded(b"") == {}
    assert loaded(b'{"generation": 2, "mine": [1]}') == {"generation": 2, "mine": [1]}
    for raw in (b"[]", b"\x80\x04N.", b"{"):
        with pytest.raises(UnreadableMessage, match="meta"):
            loaded(raw)


def test_a_strangers_wishes_are_kept_as_far_as_they_can_be() -> None:
    options = options_of(2, 180, Priority.HIGH)
    assert (options.attempts, options.timeout, options.priority) == (3, 180_000, Priority.HIGH)
    assert options_of(99, 99_999, Priority.LOW).model_dump(include={"attempts", "timeout"}) == {
        "attempts": 5,
        "timeout": 3_600_000,
    }
    plain = options_of(None, -1, Priority.NORMAL)
    assert (plain.attempts, plain.timeout) == (3, None)
