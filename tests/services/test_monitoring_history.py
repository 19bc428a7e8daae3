"""The history: bounded, exact over any stretch, kept over restarts, and never in the way."""

from __future__ import annotations

import asyncio
import threading
import zlib
from pathlib import Path
from typing import Any

import pytest

from booking_queue.domain.job import Backend
from booking_queue.ledger.connection import connect
from booking_queue.metrics import RUN_BOUNDS, WAIT_BOUNDS, Metrics
from booking_queue.settings import Settings
from monitoring_service import history_file
from monitoring_service.board import Board
from monitoring_service.chart import bucket, chart
from monitoring_service.tiers import MOST_NAMES, Tiers
from tests.services.monitoring_world import World, fresh, worker_stats, world_of

START = 1_800_000_000_000  # ms, a multiple of ten seconds
DAY_MS = 86_400_000


def filled(seconds: int, first: int = 0, every: int = 1) -> Tiers:
    tiers = Tiers(every=1)
    for n in range(first, first + seconds, every):
        added = {"+counted": every, "+rq.accepted": 2 * every, "+rq.completed": every}
        tiers.append(START + n * 1000, {"workers": n, "kafka.backlog": None, **added})
    return tiers


def test_it_is_bounded() -> None:
    tiers = filled(100_000)
    assert len(tiers.fine.times) <= 990
    assert len(tiers.coarse.times) <= 9504
    whole = chart(tiers, 0, 0, 2000)
    assert len(whole["times"]) <= 2001
    assert whole["times"][0] >= START + 99_999_000 - DAY_MS - 60_000
    size = sum(column.itemsize * len(column) for tier in (tiers.fine, tiers.coarse) for column in tier.columns.values())
    assert size < 1_000_000


def test_a_name_too_many_is_not_kept() -> None:
    tiers = Tiers(every=1)
    for n in range(2):
        tiers.append(START + n * 1000, {f"{n}.{name}": n for name in range(MOST_NAMES)})
    assert len(tiers.fine.columns) == MOST_NAMES
    assert "0.0" in tiers.fine.columns and {len(column) for column in tiers.fine.columns.values()} == {2}


def test_seconds_for_a_quarter_of_an_hour_and_ten_seconds_for_a_day() -> None:
    tiers = filled(7200)
    now = START + 7199_000
    fine = chart(tiers, now - 600_000, 1, 2000)
    assert (fine["everySeconds"], len(fine["times"])) == (1, 601)
    assert fine["series"]["workers"][-2:] == [7198, 7199]
    older = chart(tiers, now - 3_600_000, 1, 2000)
    assert older["everySeconds"] == 10
    assert older["times"] == sorted(set(older["times"]))
    assert older["times"][0] <= now - 3_590_000
    assert older["times"][-1] >= now - 10_000, "the newest seconds are of the finer tier"
    assert set(older["series"]["rq.acceptedPerSecond"]) == {2}
    assert set(older["series"]["rq.completedPerSecond"]) == {1}


@pytest.mark.parametrize("step", [1, 7, 10, 60, 3600])
def test_a_step_changes_no_sum(step: int) -> None:
    found = chart(filled(600), START, step, 2000)
    assert found["everySeconds"] == step
    assert set(found["series"]["rq.acceptedPerSecond"]) == {2}
    assert set(found["series"]["kafka.backlog"]) == {None}


def test_percentiles_are_of_the_sum_and_not_of_percentiles() -> None:
    tiers = Tiers(every=1)
    tiers.append(START, {bucket(Backend.RQ, "run", 2): 99})  # within 10 ms
    tiers.append(START + 1000, {bucket(Backend.RQ, "run", 9): 1})  # within 2.5 s
    fast, slow = chart(tiers, START, 1, 100)["series"]["rq.runP50Ms"]
    assert fast and slow
    assert fast < 10 < 1000 < slow
    (together,) = chart(tiers, START, 10, 100)["series"]["rq.runP50Ms"]
    assert together and together < 10, "a mean of the two would be near a second"


def test_compliance_is_told_by_type() -> None:
    tiers = Tiers(every=1)
    tiers.append(START, {"+sla.booking.inTime": 9, "+sla.booking.total": 10})
    tiers.append(START + 1000, {"+sla.booking.inTime": 0, "+sla.booking.total": 10})
    tiers.append(START + 2000, {"+sla.noop.inTime": 1, "+sla.noop.total": 1})
    found = chart(tiers, START, 1, 100)["series"]
    assert found["sla.booking.share"] == [0.9, 0.0, None]
    assert found["sla.noop.share"] == [None, None, 1.0]
    assert chart(tiers, START, 10, 100)["series"]["sla.booking.share"] == [0.45]


def test_a_time_without_samples_is_a_hole() -> None:
    tiers = filled(10)
    for n in range(60, 65):
        tiers.append(START + n * 1000, {"workers": n})
    found = chart(tiers, START, 1, 2000)
    hole = found["times"].index(START + 10_000)
    assert found["series"]["workers"][hole] is None
    assert found["series"]["workers"][hole + 1] == 60


def test_a_clock_that_was_put_back_puts_nothing_out_of_order() -> None:
    tiers = filled(10)
    tiers.append(START + 5_000, {"workers": 1})
    assert list(tiers.fine.times) == sorted(tiers.fine.times)


def test_an_empty_history_is_an_empty_answer() -> None:
    assert chart(Tiers(1), START, 0, 300)["times"] == []


def test_it_is_the_same_after_it_was_kept(tmp_path: Path) -> None:
    path, tiers, again = tmp_path / "deep" / "history", filled(2000), Tiers(1)
    history_file.save(path, history_file.packed(tiers, {"epoch": "e1"}))
    assert history_file.load(path, again) == {"epoch": "e1"}
    assert chart(again, START, 10, 2000) == chart(tiers, START, 10, 2000)
    assert list(path.parent.iterdir()) == [path], "nothing half written is left"
    assert path.stat().st_size < 50_000


@pytest.mark.parametrize("harm", ["half", "empty", "text", "flipped", "long", "other"])
def test_a_torn_file_is_dropped(tmp_path: Path, harm: str) -> None:
    path, tiers = tmp_path / "history", Tiers(1)
    history_file.save(path, history_file.packed(filled(2000), {"epoch": "e1"}))
    content = path.read_bytes()
    middle = len(content) // 2
    path.write_bytes(
        {
            "half": content[:middle],
            "empty": b"",
            "text": b"hello",
            "flipped": content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :],
            "long": content[:-4],
            "other": zlib.compress(b'{"form":0}\n'),
        }[harm]
    )
    assert history_file.load(path, tiers) == {}
    assert not tiers.fine.times
    tiers.append(START, {"workers": 1})
    assert chart(tiers, START, 0, 10)["series"]["workers"] == [1]


def test_a_file_that_cannot_be_written_is_told_of_and_no_more(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    history_file.save(tmp_path / "file" / "history", history_file.packed(filled(3), {}))


async def test_it_has_a_column_a_series(redis_settings: Settings) -> None:
    async with world_of(redis_settings) as world:
        await _with_work(world)
        body = await world.until("/history?seconds=60", _seen)
        series = body["series"]
        assert all(len(column) == len(body["times"]) for column in series.values())
        for lane in ("rq", "redisStreams", "kafka"):
            for name in ("acceptedPerSecond", "completedPerSecond", "waiting", "running", "oldestAgeSeconds"):
                assert f"{lane}.{name}" in series
            for name in ("waitP50Ms", "waitP99Ms", "runP50Ms", "runP99Ms"):
                assert f"{lane}.{name}" in series
        assert series["kafka.backlog"][-1] == 2
        (run,) = {value for value in series["rq.runP50Ms"] if value}
        assert 1000 < run <= 2500
        assert 0.8 < max(share for share in series["sla.booking.share"] if share is not None) <= 1
        for wrong in ("seconds=0", "step=-1", "from=x", "points=1", "seconds=90000"):
            assert (await world.monitoring.http.get(f"/history?{wrong}")).status_code == 400


async def test_it_outlives_a_restart(redis_settings: Settings, tmp_path: Path) -> None:
    settings = redis_settings.model_copy(update={"history_file": tmp_path / "history"})
    async with world_of(settings) as world:
        await world.start()
        before = await world.until("/history", lambda body: len(body["times"]) > 5)
    async with world_of(settings) as world:
        await world.start()
        after = await world.until("/history?step=0.1", lambda body: body["times"][:3] == before["times"][:3])
        assert after["series"]["kafka.backlog"][0] == before["series"]["kafka.backlog"][0]


async def test_it_is_written_by_one_at_a_time_when_it_ends(
    redis_settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write, seen, began, second = history_file.written, list[str](), threading.Event(), threading.Event()

    def slow(path: Path, blocks: list[bytes]) -> None:
        seen.append("begins")
        (second if began.is_set() else began).set()
        second.wait(0.5)
        write(path, blocks)
        seen.append("ends")

    monkeypatch.setattr(history_file, "SAVE_SECONDS", 0)
    monkeypatch.setattr(history_file, "written", slow)
    async with connect(redis_settings) as redis:
        board = Board(redis_settings.model_copy(update={"history_file": tmp_path / "history"}), redis, Metrics())
        board.start()
        await asyncio.to_thread(began.wait)
        await board.close()
    assert seen == ["begins", "ends"] * (len(seen) // 2)


def done(jobs: int) -> dict[str, Any]:
    """What a worker says after so many jobs, which waited 20 ms and ran 2 s."""
    histograms: dict[str, Any] = {}
    for what, bounds, seconds in (("wait", WAIT_BOUNDS, 0.02), ("run", RUN_BOUNDS, 2)):
        counts = [jobs if bound >= seconds else 0 for bound in bounds]
        histograms[what] = {"rq": {"buckets": [*bounds, None], "counts": [*counts, jobs], "sum": jobs * seconds}}
    return worker_stats("w1", completed=jobs) | {"histograms": histograms}


async def _with_work(world: World) -> None:
    await world.leave("kafka", jobs=2)
    worker = await world.worker("w1", **done(4))
    await world.start()
    await world.until("/dashboard", lambda body: fresh("workers")(body) and body["workers"]["count"])
    await world.until("/history", lambda body: len(body["times"]) > 2)
    worker.answers["/stats"] = done(14)


def _seen(body: dict[str, Any]) -> bool:
    return any(body["series"].get("rq.runP50Ms", ())) and bool(body["series"]["kafka.backlog"][-1])
