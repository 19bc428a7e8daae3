"""Brokers that ask who one is, and speak TLS: a Redis without its default user, and a Kafka that wants SCRAM."""

from __future__ import annotations

import shutil
import socket
import ssl
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import redis

from deploy.make_secrets import LOOKS, OPERATOR, USES
from local.broker_process import KafkaProcess
from local.kafka_archive import ensure_archive
from local.kafka_server import format_storage, kafka_command, write_kafka_config
from local.paths import private_folder
from tests.brokers import RestartableRedis, missing

WATCHER = "monitoring"
USER, PASSWORD = "booking", "between us: with spaces"
LOGIN = "org.apache.kafka.common.security.scram.ScramLoginModule"
MECHANISMS = ("SCRAM-SHA-256", "SCRAM-SHA-512")
EXTENSIONS = """basicConstraints=CA:FALSE
subjectAltName={name}
subjectKeyIdentifier=hash
authorityKeyIdentifier=keyid
keyUsage=digitalSignature
"""
AUTHORITY = ["basicConstraints=critical,CA:TRUE", "keyUsage=critical,keyCertSign,cRLSign", "subjectKeyIdentifier=hash"]
NEW_KEY = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]


@dataclass(frozen=True)
class Certificates:
    """An authority, and what it signed for one name: `server` is its key and certificate, for a day or two."""

    authority: Path
    server: Path

    def context(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.server)
        return context


def certificates(folder: Path, name: str = "IP:127.0.0.1") -> Certificates:
    if not shutil.which("openssl"):
        missing("openssl, to make certificates")
    private_folder(folder)
    signs = ["-subj", "/CN=authority", *(word for line in AUTHORITY for word in ("-addext", line))]
    _openssl(folder, "req", "-x509", *NEW_KEY, "-keyout", "ca.key", "-out", "ca.crt", *signs)
    _openssl(folder, "req", *NEW_KEY[:-2], "-keyout", "own.key", "-out", "own.csr", "-subj", "/CN=server")
    (folder / "own.ext").write_text(EXTENSIONS.format(name=name))
    signer = ["-CA", "ca.crt", "-CAkey", "ca.key", "-set_serial", "1", "-days", "2", "-extfile", "own.ext"]
    _openssl(folder, "x509", "-req", "-in", "own.csr", *signer, "-out", "own.crt")
    server = folder / "server.pem"
    server.write_text((folder / "own.key").read_text() + (folder / "own.crt").read_text())
    return Certificates(folder / "ca.crt", server)


def _openssl(folder: Path, *words: str) -> None:
    done = subprocess.run(["openssl", *words], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def close_to_others(server: RestartableRedis) -> None:
    """From here on the default user is off; USER may what services may, WATCHER what monitoring may, OPERATOR all."""
    with redis.Redis(host=server.host, port=server.port, password=server.password) as client:
        admin: Any = client
        for name, rights in {USER: USES, WATCHER: LOOKS, OPERATOR: "~* &* +@all"}.items():
            admin.execute_command("ACL", "SETUSER", name, "on", f">{PASSWORD}", *rights.split())
        admin.execute_command("ACL", "SETUSER", "default", "off")


class SecureKafka(KafkaProcess):
    """One listener, SASL_SSL; the broker logs in there too."""

    def __init__(self, folder: Path, made: Certificates) -> None:
        super().__init__(folder)
        self._made = made

    def command(self) -> list[str]:
        ensure_archive()
        config = write_kafka_config(self.folder, self.port, self.controller_port)
        users = [f"--add-scram={mechanism}=[name={USER},password={PASSWORD}]" for mechanism in MECHANISMS]
        with config.open("a") as file:  # of two lines with one name, the last is taken
            file.write("\n".join(self._lines()) + "\n")
        format_storage(config, *users)
        return kafka_command(config)

    def _lines(self) -> list[str]:
        address = f"SASL_SSL://{self.host}:{self.port}"
        return [
            f"listeners={address},CONTROLLER://{self.host}:{self.controller_port}",
            f"advertised.listeners={address}",
            "listener.security.protocol.map=CONTROLLER:PLAINTEXT,SASL_SSL:SASL_SSL",
            "inter.broker.listener.name=SASL_SSL",
            f"sasl.enabled.mechanisms={','.join(MECHANISMS)}",
            f"sasl.mechanism.inter.broker.protocol={MECHANISMS[-1]}",
            *(
                f"listener.name.sasl_ssl.{mechanism.lower()}.sasl.jaas.config="
                f'{LOGIN} required username="{USER}" password="{PASSWORD}";'
                for mechanism in MECHANISMS
            ),
            "ssl.keystore.type=PEM",
            f"ssl.keystore.location={self._made.server}",
            "ssl.truststore.type=PEM",
            f"ssl.truststore.location={self._made.authority}",
        ]

    def answers(self) -> bool:
        context = ssl.create_default_context(cafile=self._made.authority)
        try:
            link = socket.create_connection((self.host, self.port), timeout=2)
            with link, context.wrap_socket(link, server_hostname=self.host):
                return True
        except OSError:
            return False
