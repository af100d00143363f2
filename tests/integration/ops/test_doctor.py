"""What doctor finds in stores, keyring and certificates, and that it changes none of them."""

from __future__ import annotations

import datetime
import os
import shutil
import socket
import ssl
import threading
from dataclasses import replace
from pathlib import Path
from uuid import UUID

import psycopg2
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from application.settings import Settings
from cli.checks import CHECKS, findings
from cli.checks.certificates import certificates
from cli.checks.finding import Finding
from cli.checks.machine import clear_swaps
from store.migrate import EVENTS_MIGRATIONS, migrate
from tests.softhsm import SoftHsm
from vault.file_keyring import FileKeyring
from vault.keyring_location import Token, parse
from vault.vault import MIGRATIONS, Vault


@pytest.fixture
def keys_dsn(pg_keys: str, new_database) -> str:
    dsn = new_database(pg_keys, "doctor")
    migrate(dsn, MIGRATIONS)
    return dsn


@pytest.fixture
def keyring(tmp_path: Path, keys_dsn: str) -> Path:
    """The keyring of an installation that has started once."""
    vault = Vault.open_at(keys_dsn, tmp_path / "keyring")
    vault.secret("relay-mac")
    vault.close()
    return tmp_path / "keyring"


def found(name: str, tmp_path: Path, **settings: str) -> list[Finding]:
    return list(CHECKS[name](Settings(home=str(tmp_path), **settings)))


def only(name: str, tmp_path: Path, **settings: str) -> Finding:
    [one] = found(name, tmp_path, **settings)
    assert one.state == "ok" or one.advice
    return one


def test_a_schema_behind_the_program_names_what_is_missing(tmp_path: Path, pg_main: str, new_database) -> None:
    dsn = new_database(pg_main, "behind")
    older = tmp_path / "store" / "migrations"
    older.mkdir(parents=True)
    files = sorted(EVENTS_MIGRATIONS.glob("*.sql"))
    for file in files[:2]:
        shutil.copy(file, older)

    never = only("migrations", tmp_path, events_dsn=dsn)
    migrate(dsn, older)
    behind = only("migrations", tmp_path, events_dsn=dsn)
    migrate(dsn)

    assert (never.state, never.found) == ("failed", "events waits for " + ", ".join(file.stem for file in files))
    assert (behind.state, behind.found) == ("failed", "events waits for " + ", ".join(file.stem for file in files[2:]))
    assert "casekeeper migrate" in behind.advice
    assert found("migrations", tmp_path, events_dsn=dsn) == []


def test_a_schema_ahead_of_the_program_is_told_apart(tmp_path: Path, pg_main: str, new_database) -> None:
    dsn = new_database(pg_main, "ahead")
    migrate(dsn)
    connection = psycopg2.connect(dsn)
    with connection, connection.cursor() as cursor:
        cursor.execute("INSERT INTO schema_migrations (room, number, name, sha256) VALUES ('store', 99, '0099_x', 'x')")
    connection.close()

    said = only("migrations", tmp_path, events_dsn=dsn)

    assert said.state == "failed"
    assert "newer than this program" in said.found


def test_a_setting_that_cannot_be_hides_no_other_finding(tmp_path: Path) -> None:
    said = {one.name: one for one in findings(Settings(home=str(tmp_path), keyring="hsm:1", kafka="127.0.0.1:1"))}

    assert said["keyring"].state == "failed"
    assert said["keyring"].found.startswith("CASEKEEPER_KEYRING must be file:/folder, or ")
    assert said["kafka"].found == "no answer from 127.0.0.1:1"
    assert "disk" in said


def test_a_whole_keyring_is_well_and_left_as_it_was(tmp_path: Path, keys_dsn: str, keyring: Path) -> None:
    before = {file.name: file.read_bytes() for file in keyring.iterdir()}

    assert only("keyring", tmp_path, keys_dsn=keys_dsn).state == "ok"
    assert {file.name: file.read_bytes() for file in keyring.iterdir()} == before


def test_before_the_first_start_no_keys_are_made(tmp_path: Path, keys_dsn: str) -> None:
    assert only("keyring", tmp_path, keys_dsn=keys_dsn).state == "warning"
    (tmp_path / "keyring").mkdir(mode=0o700)
    assert only("keyring", tmp_path, keys_dsn=keys_dsn).state == "ok"

    assert list((tmp_path / "keyring").iterdir()) == []
    connection = psycopg2.connect(keys_dsn)
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM key_root WHERE key_id IS NOT NULL")
        assert cursor.fetchone() == (0,)
    connection.close()


def test_a_keyring_that_is_gone_is_missed(tmp_path: Path, keys_dsn: str, keyring: Path) -> None:
    keyring.rename(tmp_path / "elsewhere")
    gone = only("keyring", tmp_path, keys_dsn=keys_dsn)
    keyring.mkdir(mode=0o700)
    empty = only("keyring", tmp_path, keys_dsn=keys_dsn)

    assert (gone.state, gone.found) == ("failed", f"missing: no folder {keyring}")
    assert (empty.state, empty.found) == (
        "failed",
        "unreadable: the keyring's folder is empty: is its volume mounted?",
    )


def test_a_keyring_of_another_moment_or_installation_does_not_fit(
    tmp_path: Path, keys_dsn: str, keyring: Path, pg_keys: str, new_database
) -> None:
    other = new_database(pg_keys, "other")
    migrate(other, MIGRATIONS)
    Vault.open_at(other, tmp_path / "other").close()
    elsewhere = only("keyring", tmp_path, keys_dsn=other)
    [root] = keyring.glob("root-*.key")
    root.unlink()
    past = only("keyring", tmp_path, keys_dsn=keys_dsn)

    assert elsewhere.state == past.state == "failed"
    assert elsewhere.found.startswith("mismatch: ")
    assert past.found.startswith("mismatch: the keyring lacks the root key in force")


def test_a_key_that_cannot_be_read_is_told(tmp_path: Path, keys_dsn: str, keyring: Path) -> None:
    [root] = keyring.glob("root-*.key")
    root.unlink()
    root.mkdir()

    said = only("keyring", tmp_path, keys_dsn=keys_dsn)

    assert (said.state, said.found) == ("failed", "unreadable: a file of the keyring cannot be read")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read every file")
def test_a_key_of_somebody_else_s_is_told(tmp_path: Path, keys_dsn: str, keyring: Path) -> None:
    [root] = keyring.glob("root-*.key")
    root.chmod(0)

    assert only("keyring", tmp_path, keys_dsn=keys_dsn).found.startswith("unreadable: 1 of ")


def test_each_replica_is_looked_at(tmp_path: Path, keys_dsn: str) -> None:
    folders = [tmp_path / name for name in ("a", "b", "c", "d")]
    where = ",".join(f"file:{folder}" for folder in folders)
    Vault.open_at(keys_dsn, parse(where, "setting")).close()
    whole = only("keyring", tmp_path, keys_dsn=keys_dsn, keyring=where)
    shutil.rmtree(folders[1])
    folders[1].mkdir(mode=0o700)
    [root] = folders[2].glob("root-*.key")
    root.rename(folders[2] / root.name.replace("root-000000000001", "root-000000000000"))
    (folders[3] / "secret-a.key").mkdir()

    said = found("keyring", tmp_path, keys_dsn=keys_dsn, keyring=where)

    assert (whole.state, whole.found) == ("ok", ", ".join(map(str, folders)))
    assert {one.state for one in said} == {"failed"}
    assert said[0].found == "mismatch: a file of the keyring was renamed"
    shutil.rmtree(folders[2])
    missing = only("keyring", tmp_path, keys_dsn=keys_dsn, keyring=where)
    assert missing.found == f"missing: no folder {folders[2]}"
    shutil.copytree(folders[0], folders[2])
    [root] = folders[2].glob("root-*.key")
    FileKeyring(folders[2], installation(keys_dsn)).put_secret("b", bytes(32))
    root.unlink()
    told = {one.found: one.advice for one in found("keyring", tmp_path, keys_dsn=keys_dsn, keyring=where)}
    assert list(told) == [
        f"replica {folders[1]}: empty",
        f"replica {folders[2]}: lacks the root key in force",
        f"replica {folders[3]}: a file of the keyring cannot be read",
    ]
    assert f"touch {folders[1] / 'new-replica'}" in told[f"replica {folders[1]}: empty"]


def installation(keys_dsn: str) -> UUID:
    connection = psycopg2.connect(keys_dsn)
    with connection.cursor() as cursor:
        cursor.execute("SELECT installation_id::text FROM key_root")
        [(found_id,)] = cursor.fetchall()
    connection.close()
    return UUID(found_id)


@pytest.fixture
def token(softhsm: SoftHsm, keys_dsn: str) -> Token:
    """The token of an installation that has started once."""
    made = softhsm.new_token()
    Vault.open_at(keys_dsn, made).close()
    return made


def test_a_whole_keyring_in_a_device_is_well(tmp_path: Path, keys_dsn: str, token: Token) -> None:
    said = only("keyring", tmp_path, keys_dsn=keys_dsn, keyring=str(token))

    assert (said.state, said.found) == ("ok", f"token {token.token}")


def test_a_device_before_the_first_start_is_left_without_keys(tmp_path: Path, keys_dsn: str, softhsm: SoftHsm) -> None:
    new = softhsm.new_token()
    before = sorted(path.name for path in softhsm.files_of(new).iterdir())

    assert only("keyring", tmp_path, keys_dsn=keys_dsn, keyring=str(new)).state == "ok"
    assert sorted(path.name for path in softhsm.files_of(new).iterdir()) == before


def test_what_is_wrong_with_a_device_is_told_and_no_pin_is_shown(
    tmp_path: Path, keys_dsn: str, token: Token, softhsm: SoftHsm
) -> None:
    wrong = tmp_path / "wrong.pin"
    wrong.write_text("canary-8812")
    wrong.chmod(0o600)
    open_to_all = tmp_path / "open.pin"
    open_to_all.write_text(token.pin_source.read_text())
    open_to_all.chmod(0o644)
    expected = {
        "no library /usr/lib/none.so": replace(token, module=Path("/usr/lib/none.so")),
        f"no file {tmp_path / 'none'} that can be read": replace(token, pin_source=tmp_path / "none"),
        f"others may read the PIN in {open_to_all} (mode 644)": replace(token, pin_source=open_to_all),
        "unreadable: the token is not in the device": replace(token, token="elsewhere"),
        "unreadable: the device refused the PIN": replace(token, pin_source=wrong),
        "unreadable: the token holds no keyring: is it the right one?": softhsm.new_token(),
    }

    for found_wrong, location in expected.items():
        said = only("keyring", tmp_path, keys_dsn=keys_dsn, keyring=str(location))
        assert (said.state, said.found) == ("failed", found_wrong)
        assert said.advice
        assert "canary" not in said.found + said.advice


def certificate(folder: Path, name: str, days: int) -> str:
    """Write a certificate that is valid for so many days more and return its file."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=100))
        .not_valid_after(now + datetime.timedelta(days=days, hours=1))
        .sign(key, hashes.SHA256())
    )
    file = folder / f"{name}.pem"
    file.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    return str(file)


@pytest.mark.parametrize(
    ("days", "state", "said"),
    [(-1, "failed", "expired on"), (5, "warning", "expires on"), (200, "ok", "is valid until")],
)
def test_certificates_in_files_are_looked_at(tmp_path: Path, days: int, state: str, said: str) -> None:
    file = certificate(tmp_path, "ca", days)
    of_kafka = only("certificates", tmp_path, kafka="127.0.0.1:1", kafka_protocol="SSL", kafka_ca=file)
    of_postgresql = only(
        "certificates", tmp_path, events_dsn=f"host=127.0.0.1 port=1 sslmode=verify-full sslrootcert={file}"
    )

    for one in (of_kafka, of_postgresql):
        assert one.state == state
        assert one.found.startswith(f"{file} {said}")


def test_a_certificate_that_is_not_there_is_missed(tmp_path: Path) -> None:
    said = only("certificates", tmp_path, kafka="127.0.0.1:1", kafka_protocol="SSL", kafka_ca=str(tmp_path / "no.pem"))

    assert (said.state, said.found) == ("failed", f"{tmp_path / 'no.pem'} cannot be read")
    assert "CASEKEEPER_KAFKA_CA" in said.advice


@pytest.mark.parametrize(("allowed", "state"), [("0", "failed"), ("1", "warning")])
def test_connections_in_the_clear_to_another_machine_are_told_by_the_name_of_their_setting(
    tmp_path: Path, allowed: str, state: str
) -> None:
    elsewhere = {
        "views_dsn": "host=db.example password=canary-77",
        "keys_dsn": "host=keys.example sslmode=disable",
        "kafka": "kafka.example:9092",
    }
    said = found("certificates", tmp_path, clear_network=allowed, **elsewhere)

    named = [f"CASEKEEPER_{name}" for name in ("VIEWS_DSN", "KEYS_DSN", "KAFKA")]
    assert [(one.state, one.found.split()[0]) for one in said] == [(state, name) for name in named]
    assert all(one.advice for one in said)
    assert not any(part in str(said) for part in ("canary", "example"))


def test_connections_that_stay_on_this_machine_need_no_certificate(tmp_path: Path) -> None:
    at_home = {"kafka": "127.0.0.1:9092", "events_dsn": "host=/run/postgresql", "keys_dsn": "host=localhost"}

    assert only("certificates", tmp_path, **at_home).state == "ok"
    assert only("certificates", tmp_path).state == "ok"


def test_a_server_s_own_certificate_is_looked_at_before_it_expires(tmp_path: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    made = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number(),
                                   now, now + datetime.timedelta(days=3)).sign(key, hashes.SHA256())  # fmt: skip
    both = tmp_path / "server.pem"
    both.write_bytes(
        made.public_bytes(serialization.Encoding.PEM)
        + key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(both)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]

        def serve() -> None:
            connection, _ = listening.accept()
            if connection.recv(8) == bytes.fromhex("0000000804d2162f"):
                connection.sendall(b"S")
                context.wrap_socket(connection, server_side=True).close()

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        settings = Settings(home=str(tmp_path), keys_dsn=f"host=127.0.0.1 port={port} sslmode=require")
        [said] = certificates(settings)
        thread.join(5)

    assert (said.state, said.found[: len(f"127.0.0.1:{port}")]) == ("warning", f"127.0.0.1:{port}")
    assert f"{now + datetime.timedelta(days=3):%Y-%m-%d}" in said.found


def test_swap_in_clear_is_told_apart(tmp_path: Path) -> None:
    for name, uuid in (("dm-97", "CRYPT-PLAIN-swap"), ("dm-98", "LVM-abc"), ("zram97", "")):
        (tmp_path / name / "dm").mkdir(parents=True)
        if uuid:
            (tmp_path / name / "dm" / "uuid").write_text(f"{uuid}\n")
    head = "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n"
    areas = ["/dev/dm-97", "/dev/dm-98", "/dev/zram97", "/swapfile", "/dev/sda97"]
    swaps = head + "".join(f"{area}      partition\t1024\t0\t-2\n" for area in areas)

    assert clear_swaps(swaps, tmp_path) == ["/dev/dm-98", "/swapfile", "/dev/sda97"]
    assert clear_swaps(head, tmp_path) == []
