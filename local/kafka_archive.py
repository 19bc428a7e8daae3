"""Keeps Kafka's classes as Java loaded them (a class data archive), so that later starts are quick. Made once."""

from __future__ import annotations

import fcntl
import subprocess
import sys
import tempfile
from pathlib import Path

from local.kafka_server import archive, find_java, format_storage, kafka_command, write_kafka_config
from local.paths import CACHE, private_folder
from local.probe import LOOPBACK, free_port, kafka_answers, wait_until


def ensure_archive() -> None:
    """Run Kafka once for its classes. Where that does not work, Kafka starts without, as it always does."""
    kept = archive(str(find_java()[0]))
    private_folder(CACHE)
    with (CACHE / "kafka-archive.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not kept.exists():
            with tempfile.TemporaryDirectory(prefix="booking-queue-kafka-") as folder:
                _make(kept, Path(folder))


def _make(kept: Path, folder: Path) -> None:
    port = free_port()
    config = write_kafka_config(folder, port, free_port())
    format_storage(config)
    print("Starting Kafka once to keep its classes (once)", file=sys.stderr, flush=True)
    unfinished = kept.with_suffix(".unfinished")
    command = kafka_command(config, f"-XX:ArchiveClassesAtExit={unfinished}")
    training = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_until(lambda: kafka_answers(LOOPBACK, port) or training.poll() is not None, 60)
        training.terminate()
        training.wait(60)
    except subprocess.TimeoutExpired:
        pass
    finally:  # also when interrupted
        training.kill()
        training.wait()
    if unfinished.exists():
        unfinished.replace(kept)
    else:
        # An empty one: Java goes on without, and nobody tries again.
        kept.touch()
