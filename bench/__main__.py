"""`make bench`: what a job costs on each lane, how fast bookings are accepted and begun, and what idling costs. Writes
bench/RESULTS.md."""

from __future__ import annotations

import argparse
import asyncio
import os
import shutil
import signal
import tempfile
from collections.abc import Sequence
from pathlib import Path

from bench.accept import Load, load
from bench.drain import Drained, drain
from bench.idle import idle
from bench.latency import waits
from bench.peer import simple_worker
from bench.report import Measured, report
from booking_queue.domain.job import Backend
from local.private_suite import PrivateSuite

RESULTS = Path(__file__).parent / "RESULTS.md"
PEER_SHARE = 10  # of the jobs: RQ's worker takes as long for so many


def arguments(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--jobs", type=int, default=10_000, help="jobs a drain (default 10000)")
    parser.add_argument("--slots", type=int, default=100, help="jobs at a time in the one worker (default 100)")
    parser.add_argument("--runs", type=int, default=3, help="runs of each figure (default 3)")
    parser.add_argument(
        "--seconds", type=float, default=10, help="seconds a run of accepting, and of idling (default 10)"
    )
    parser.add_argument("--connections", type=int, default=64, help="HTTP connections (default 64)")
    parser.add_argument("--batch", type=int, default=500, help="bookings a request of the batches (default 500)")
    parser.add_argument("--batch-connections", type=int, default=4, help="HTTP connections for these (default 4)")
    parser.add_argument("--waits", type=int, default=100, help="bookings whose start is waited for (default 100)")
    parser.add_argument("--no-write", action="store_true", help="print only; leave bench/RESULTS.md alone")
    return parser.parse_args(argv)


def say(text: str) -> None:
    print(text, flush=True)


def drained(found: Drained) -> str:
    return f"{found.backend:<13} {found.jobs_per_second:>8.0f} jobs/s   {found.round_trips:.3f} round trips a job"


def accepted(found: Load) -> str:
    return (
        f"{found.accepted_per_second:>8.0f} bookings/s   p50 {found.percentile(0.5) * 1000:.0f} ms   "
        f"p99 {found.percentile(0.99) * 1000:.0f} ms   statuses {found.statuses}"
    )


async def lanes(suite: PrivateSuite, asked: argparse.Namespace, found: Measured) -> None:
    say(f"draining {asked.jobs} no-op jobs a lane, one worker process, {asked.slots} slots, {asked.runs} runs in turn")
    for run in range(1, asked.runs + 1):
        for backend in Backend:
            found.busy.append(await drain(suite, backend, jobs=asked.jobs, slots=asked.slots))
            say(f"  {run}/{asked.runs} {drained(found.busy[-1])}")
        found.peer.append(await asyncio.to_thread(simple_worker, suite, max(100, asked.jobs // PEER_SHARE)))
        say(f"  {run}/{asked.runs} RQ's SimpleWorker {found.peer[-1]:.0f} jobs/s")
    say("draining 300 jobs a lane, one slot: what a job costs that travels alone")
    for backend in Backend:
        found.alone.append(await drain(suite, backend, jobs=300, slots=1))
        say(f"      {drained(found.alone[-1])}")


async def accepting(suite: PrivateSuite, asked: argparse.Namespace, found: Measured) -> None:
    port = suite.ports["api_service"]
    say(
        f"accepting bookings for three backends, {asked.seconds:g} s a run: one by one, and in batches of {asked.batch}"
    )
    for run in range(1, asked.runs + 1):
        found.loads.append(await load("127.0.0.1", port, connections=asked.connections, seconds=asked.seconds))
        say(f"  {run}/{asked.runs} one by one {accepted(found.loads[-1])}")
        several = {"connections": asked.batch_connections, "batch": asked.batch}
        found.batches.append(await load("127.0.0.1", port, seconds=asked.seconds, **several))
        say(f"  {run}/{asked.runs} batches    {accepted(found.batches[-1])}")


async def measure(suite: PrivateSuite, asked: argparse.Namespace) -> Measured:
    found = Measured()
    say("idling, and ten bookings a second")
    found.idle = await idle(suite, asked.seconds)
    found.waits = await waits(suite, asked.waits)
    await lanes(suite, asked, found)
    await accepting(suite, asked, found)
    return found


def measured(asked: argparse.Namespace) -> str:
    """The report. Nothing is left in the temporary folder, but for the logs of a failure."""
    folder = Path(tempfile.mkdtemp(prefix="booking-queue-bench-"))
    os.environ.setdefault("REDIS_MAXMEMORY", "4gb")  # nobody drains what is accepted here
    suite = PrivateSuite(folder, LOG_LEVEL="WARNING", SIMULATED_TIME_SCALE="0")
    say("starting Redis, Kafka and the services on free ports; all of it takes some minutes (--help: make it shorter)")
    keep = False
    try:
        suite.start()
        return report(asyncio.run(measure(suite, asked)), asked)
    except KeyboardInterrupt:
        say("interrupted: stopping what was started")
        raise SystemExit(130) from None
    except Exception:
        keep = True
        say(f"failed; the logs are in {folder}")
        raise
    finally:
        suite.close()
        if not keep:
            shutil.rmtree(folder, ignore_errors=True)


def main() -> None:
    asked = arguments()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    text = measured(asked)
    say("\n" + text)
    if not asked.no_write:
        RESULTS.write_text(text)
        say(f"written to {RESULTS.relative_to(Path.cwd()) if RESULTS.is_relative_to(Path.cwd()) else RESULTS}")


if __name__ == "__main__":
    main()
