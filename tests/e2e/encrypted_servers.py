"""Servers that take encrypted connections only: Apache Kafka with TLS and SASL listeners, Debian's PostgreSQL."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

import psycopg2
from kafka import KafkaAdminClient
from kafka.admin import ScramMechanism, UserScramCredentialUpsertion
from psycopg2.extensions import make_dsn

from ops.kafka.broker import Broker
from ops.ports import remembered_port
from ops.processes import end_child, spawn
from ops.unprivileged import way_for
from tests.e2e.certificates import Authority

USER, PASSWORD = "casekeeper", "a password of the test"
DATABASES = ("events", "views", "keys")


class EncryptedBroker(Broker):
    """A broker whose clients come to ``tls`` with a certificate or to ``sasl`` with a password, TLS both."""

    def __init__(self, folder: Path, authority: Authority) -> None:
        super().__init__(folder)
        self._authority = authority
        self.tls = f"127.0.0.1:{remembered_port(folder / 'tls-port')}"
        self.sasl = f"127.0.0.1:{remembered_port(folder / 'sasl-port')}"

    def add_user(self) -> None:
        """Give the client its password."""
        admin = KafkaAdminClient(bootstrap_servers=self.address)
        admin.alter_user_scram_credentials(
            [UserScramCredentialUpsertion(USER, ScramMechanism.SCRAM_SHA_512, password=PASSWORD.encode())]
        )
        admin.close()

    def _write_settings(self) -> Path:
        settings = super()._write_settings()
        certificate, key = self._authority.sign("broker")
        store = self.folder / "broker.pem"
        store.write_bytes(key.read_bytes() + certificate.read_bytes())
        plain, control = f"127.0.0.1:{self._port}", f"127.0.0.1:{self._controller_port}"
        listeners = f"PLAINTEXT://{plain},SSL://{self.tls},SASL_SSL://{self.sasl}"
        # Later lines win over those of the template.
        more = f"""
listeners={listeners},CONTROLLER://{control}
advertised.listeners={listeners}
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,SSL:SSL,SASL_SSL:SASL_SSL,CONTROLLER:PLAINTEXT
ssl.keystore.type=PEM
ssl.keystore.location={store}
ssl.truststore.type=PEM
ssl.truststore.location={self._authority.certificate}
listener.name.ssl.ssl.client.auth=required
listener.name.sasl_ssl.sasl.enabled.mechanisms=SCRAM-SHA-512
listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required;
"""
        settings.write_text(settings.read_text() + more)
        return settings


class EncryptedPostgres:
    """Debian's PostgreSQL, whose access rules take nothing but TLS."""

    def __init__(self, folder: Path, authority: Authority) -> None:
        folder.mkdir(parents=True)
        self._folder = folder
        self._authority = authority
        self._way = way_for(folder / "store")
        self.port = remembered_port(folder / "port")

    def start(self) -> None:
        """Make the cluster, start it, and make the databases."""
        binaries = next(iter(sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)))
        data = self._way.folder_for(self._folder / "store") / "data"
        secret = self._folder / "store" / "password"
        secret.write_text(PASSWORD)
        made = [str(binaries / "initdb"), "-D", str(data), "-U", USER, "--pwfile", str(secret), "-A", "scram-sha-256"]
        subprocess.run([*self._way.prefix, *made, "-E", "UTF8", "--locale", "C.UTF-8"], check=True, capture_output=True)
        certificate, key = self._authority.sign("postgres")
        for name, source in (("server.crt", certificate), ("server.key", key)):
            (data / name).touch(mode=0o600)
            (data / name).write_bytes(source.read_bytes())
        (data / "pg_hba.conf").write_text("hostssl all all 127.0.0.1/32 scram-sha-256\n")
        with (data / "postgresql.conf").open("a") as settings:
            settings.write(
                f"port = {self.port}\nssl = on\nunix_socket_directories = ''\nlisten_addresses = '127.0.0.1'\n"
            )
        self._process = spawn(
            [str(binaries / "postgres"), "-D", str(data)],
            log=self._folder / "server.log",
            environment={"PATH": "/usr/bin:/bin", "LC_ALL": "C"},
            prefix=self._way.prefix,
        )
        self._make_databases()

    def dsn(self, database: str, sslmode: str = "verify-full", ca: Path | None = None) -> str:
        return make_dsn(
            host="127.0.0.1",
            port=self.port,
            dbname=database,
            user=USER,
            password=PASSWORD,
            sslmode=sslmode,
            sslrootcert=str(ca or self._authority.certificate),
        )

    def stop(self) -> None:
        end_child(self._process, ((2, 10.0), (3, 5.0)))

    def _make_databases(self) -> None:
        deadline = time.monotonic() + 30
        while True:
            try:
                connection = psycopg2.connect(self.dsn("postgres"))
                break
            except psycopg2.OperationalError:
                assert time.monotonic() < deadline, (self._folder / "server.log").read_text()
                time.sleep(0.1)
        connection.autocommit = True
        for database in DATABASES:
            connection.cursor().execute(f"CREATE DATABASE {database}")
        connection.close()
