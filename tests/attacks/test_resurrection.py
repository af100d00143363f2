"""Resurrection attempts over a running service: whatever is tried, who was erased stays erased and nothing opens.

A person who is imported again from another source is a new person, with keys of their own; the old data stays gone.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import psycopg2.extras
import pytest
from kafka import KafkaProducer

from application.caller import Caller
from application.reading import Reading
from application.service import Service
from application.settings import Settings
from application.wiring import build_service
from casekeeper_client import Client, Rejected
from domain.errors import Fenced, KeyNeverExisted, RuleRefused, Tampered
from domain.sealed import Erased, KeyScope, SealedField
from ops.postgres import Cluster
from ops.roles import KEYS
from tests.attacks.conftest import Tell
from tests.callers import Who
from tests.e2e.copy_of_service import Copy
from tests.e2e.journey import (
    INTAKE_SERVICE,
    MANAGER,
    RIGHTS_SERVICE,
    Markers,
    find_erased,
    forgotten,
    intake_body,
    subject_body,
)
from tests.e2e.reading_topics import TOPICS, messages, published, sealed_fields
from tests.keyrings import files_of, location_for, of_files
from tests.waiting import until
from vault.vault import Vault

pytestmark = pytest.mark.faults

BEFORE = datetime(2026, 1, 2, tzinfo=UTC)
"""A time before anybody was erased, for clocks that are set back."""
RECORDS = ("destroyed_scope", "destroyed_person", "recalled_scope")


@dataclass
class Gone:
    """Somebody who was erased, and what an attacker kept of them from before."""

    copy: Copy
    subject: UUID
    case: UUID
    fields: list[SealedField]
    certificate: UUID
    idempotency_key: str
    body: dict[str, Any]
    keyring: Path
    markers: Markers

    @property
    def settings(self) -> Settings:
        return Settings.load(self.copy.environment)

    @contextmanager
    def vault(self) -> Iterator[Vault]:
        """Give the copy's vault as a process that has just started sees it."""
        opened = Vault.open_at(self.settings.keys_dsn, self.settings.keyring_location)
        with closing(opened):
            yield opened

    def events(self) -> int:
        """Return how many events about the person's data there are: reads are recorded, too, and not counted."""
        about = [r for _, r in published(self.copy) if str(self.subject) in r["subject_ids"]]
        return sum(record["type"] != "AccessRecorded" for record in about)

    def assert_gone(self) -> None:
        """Make sure that API and vault say that the person was erased, and show nothing."""
        for path in (f"/v1/subjects/{self.subject}", f"/v1/cases/{self.case}"):
            reply = self.copy.call(MANAGER, "GET", path)
            assert reply.status == 200, reply
            assert {t["certificate_id"] for t in find_erased(reply.body)} == {str(self.certificate)}
            assert self.markers.run not in json.dumps(reply.body)
        with self.vault() as vault:
            answers = vault.open_many(self.fields)
        assert [a for a in answers if not isinstance(a, Erased) or a.certificate_id != self.certificate] == []


def made_and_forgotten(copy: Copy, folder: Path) -> Gone:
    markers, key = Markers(), str(uuid4())
    body = subject_body(markers)
    subject = copy.call(INTAKE_SERVICE, "POST", "/v1/subjects", body, Idempotency_Key=key).body["id"]
    opened = copy.call(INTAKE_SERVICE, "POST", "/v1/cases", {"subject_id": subject, "kind": "second_opinion"})
    case = opened.body["id"]
    assert copy.call(INTAKE_SERVICE, "POST", f"/v1/cases/{case}/intakes", intake_body(markers)).status == 201
    fields = until(lambda: len(f := sealed_fields(copy, subject)) == 3 and f, 60, "the topic")
    cluster = Cluster(copy.home / "pg-keys")
    by_hand(cluster, "CREATE TABLE kept AS SELECT * FROM key_node WHERE %s IN (node_id, parent_id)", subject)
    shutil.copytree(files_of(location_for(copy.home / "keyring")), folder / "keyring")
    certificate = forget(copy, subject)
    return Gone(copy, UUID(subject), UUID(case), fields, UUID(certificate), key, body, folder / "keyring", markers)


def forget(copy: Copy, subject: str) -> str:
    """Have a person forgotten and return the certificate's id."""

    def call(who: Who, method: str, path: str, body: Any) -> tuple[int, Any]:
        reply = copy.call(who, method, path, body)
        return reply.status, reply.body

    return forgotten(call, subject)


def by_hand(cluster: Cluster, *statements: Any) -> None:
    """Run statements (text, or text and values) as the cluster's superuser, with all triggers off."""
    connection = cluster.connect(KEYS)
    psycopg2.extras.register_uuid(conn_or_curs=connection)
    with connection.cursor() as cursor:
        cursor.execute("SET session_replication_role = replica")
        cursor.execute(statements[0], statements[1:])
    connection.close()


@pytest.fixture(scope="module")
def gone(attacked: Copy, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gone]:
    made = made_and_forgotten(attacked, tmp_path_factory.mktemp("kept"))
    yield made
    by_hand(Cluster(attacked.home / "pg-keys"), "DROP TABLE kept")


@pytest.fixture(autouse=True)
def _still_gone(gone: Gone, tell: Tell) -> Iterator[None]:
    """After each attempt the person is as erased as before, and nothing was recorded about them."""
    events = gone.events()
    yield
    gone.assert_gone()
    assert gone.events() == events
    tell(f"{len(gone.fields)} sealed values tried: all erased; {events} events about the person, none added")


def test_commands_over_http(gone: Gone) -> None:
    note, wish = {"text": "late"}, {"right": "access", "channel": "web"}
    attempts = [
        (INTAKE_SERVICE, "/v1/cases", {"subject_id": str(gone.subject), "kind": "second_opinion"}),
        (INTAKE_SERVICE, f"/v1/cases/{gone.case}/intakes", intake_body(gone.markers)),
        (MANAGER, f"/v1/cases/{gone.case}/notes", note),
        (MANAGER, f"/v1/cases/{gone.case}/tasks", {"title": "late"}),
        (RIGHTS_SERVICE, f"/v1/subjects/{gone.subject}/requests", wish),
    ]
    replies = [gone.copy.call(who, "POST", path, body) for who, path, body in attempts]

    assert [(r.status, r.body["type"]) for r in replies] == [(410, "urn:casekeeper:problem:subject-erased")] * 5


def test_registration_again_under_the_same_idempotency_key(gone: Gone) -> None:
    same = gone.copy.call(INTAKE_SERVICE, "POST", "/v1/subjects", gone.body, Idempotency_Key=gone.idempotency_key)
    another = subject_body(Markers())
    other = gone.copy.call(INTAKE_SERVICE, "POST", "/v1/subjects", another, Idempotency_Key=gone.idempotency_key)

    assert (same.status, same.body["id"]) == (201, str(gone.subject)), "the first answer, and nobody new"
    assert (other.status, other.body["type"]) == (409, "urn:casekeeper:problem:idempotency-key-reused")


def test_new_messages_over_the_inbox(gone: Gone) -> None:
    registered = json.loads(gone.copy.run("actors", "add", "--service", "web-forms", "--json").stdout)
    kafka, key = gone.copy.kafka, f"{gone.copy.url}/v1/inbox-key"
    with Client(kafka, key, registered["publisher_id"], registered["private_key"], actor="web-forms") as client:
        intake = {"case_id": str(gone.case), **intake_body(gone.markers)}
        sent = [
            client.publish("submit_intake", intake),
            client.publish("open_case", {"subject_id": str(gone.subject), "kind": "second_opinion"}),
        ]
        outcomes = client.wait_for_outcomes(sent, 60)

    assert [isinstance(o, Rejected) and o.type for o in outcomes] == ["urn:casekeeper:problem:subject-erased"] * 2


def test_an_import_of_the_same_person_and_its_messages_replayed(attacked: Copy, tmp_path: Path, gone: Gone) -> None:
    file = tmp_path / "people.json"
    name = gone.markers("imported")
    person = {"resourceType": "Patient", "id": "p1", "birthDate": "1974-12-25", "name": [{"family": name}]}
    file.write_text(json.dumps({"resourceType": "Bundle", "type": "collection", "entry": [{"resource": person}]}))
    before = {r["stream_id"] for _, r in published(attacked) if r["type"] == "SubjectRegistered"}
    attacked.run("import", "fhir", str(file))
    registered = lambda: {r["stream_id"] for _, r in published(attacked) if r["type"] == "SubjectRegistered"}  # noqa: E731
    [subject] = until(lambda: registered() - before, 60, "the import")
    inbox = messages(attacked, TOPICS[1])
    certificate = forget(attacked, subject)
    events = len([r for _, r in published(attacked) if r["type"] != "AccessRecorded"])

    attacked.run("import", "fhir", str(file))
    producer = KafkaProducer(bootstrap_servers=attacked.kafka)
    outcomes = len(messages(attacked, TOPICS[2]))
    for message in inbox:
        producer.send(TOPICS[1], key=message.key, value=message.value, headers=list(message.headers))
    producer.close()
    until(lambda: len(messages(attacked, TOPICS[2])) >= outcomes + len(inbox) // 2, 60, "outcomes of the replay")

    assert registered() - before == {subject}
    assert len([r for _, r in published(attacked) if r["type"] != "AccessRecorded"]) == events
    shown = attacked.call(MANAGER, "GET", f"/v1/subjects/{subject}")
    assert {t["certificate_id"] for t in find_erased(shown.body)} == {certificate}
    assert name not in json.dumps(shown.body)


def test_every_view_built_anew_from_the_first_event(gone: Gone) -> None:
    gone.copy.run("rebuild", "--all")
    printed = gone.copy.run("audit", "replay", "--subject", str(gone.subject), "--json").stdout

    assert gone.markers.run not in printed
    assert {t["certificate_id"] for t in find_erased(json.loads(printed))} == {str(gone.certificate)}


def test_a_clock_set_back(gone: Gone) -> None:
    genuine = build_service(gone.settings)
    early = Service(genuine.resources, Reading(genuine.resources, lambda: BEFORE), lambda: BEFORE)
    manager = Caller("staff", "a1", frozenset({"case_manager"}), "casework", "api", uuid4())
    try:
        fields = {str(n): field.to_json() for n, field in enumerate(gone.fields)}
        read = early.reading.open(manager, "subject", fields, subject_ids=[gone.subject])
        with pytest.raises((Fenced, RuleRefused)):
            early.execute("add_note", manager, {"case_id": gone.case}, {"text": "late"})
        scope = KeyScope(gone.subject, "medical", gone.case, 1)
        with pytest.raises(Fenced):
            genuine.vault.scope(scope)
        with pytest.raises(Fenced):
            genuine.vault.scope(replace(scope, case_id=uuid4()))
    finally:
        genuine.log.close()
        genuine.vault.close()

    assert {frozenset(answer) for answer in read.values()} == {frozenset({"erased"})}


def test_key_rows_copied_back_by_hand(gone: Gone) -> None:
    cluster = Cluster(gone.copy.home / "pg-keys")
    by_hand(cluster, "INSERT INTO key_node SELECT * FROM kept")
    try:
        gone.assert_gone()
    finally:
        by_hand(cluster, "DELETE FROM key_node WHERE node_id IN (SELECT node_id FROM kept)")


@of_files
def test_key_rows_copied_back_and_every_record_of_their_destruction_removed(gone: Gone) -> None:
    """The keys cluster knows nothing any more: its rows do not open, and the log still says erased."""
    cluster = Cluster(gone.copy.home / "pg-keys")
    old_root = next(iter({p.name for p in gone.keyring.glob("root-*")} - {p.name for p in roots(gone)}))
    for table in RECORDS:
        by_hand(cluster, f"CREATE TABLE kept_{table} AS SELECT * FROM {table}")
    by_hand(cluster, "INSERT INTO key_node SELECT * FROM kept")
    by_hand(cluster, "DELETE FROM destroyed_person WHERE subject_id = %s", gone.subject)
    by_hand(cluster, "DELETE FROM destroyed_scope WHERE scope_id IN (SELECT node_id FROM kept)")
    by_hand(cluster, "DELETE FROM recalled_scope WHERE scope_id IN (SELECT node_id FROM kept)")
    shutil.copy(gone.keyring / old_root, gone.copy.home / "keyring" / old_root)
    try:
        reply = gone.copy.call(MANAGER, "GET", f"/v1/cases/{gone.case}")
        with gone.vault() as vault:
            for field in gone.fields:
                with pytest.raises((Tampered, KeyNeverExisted)):
                    vault.open(field)
    finally:
        by_hand(cluster, "DELETE FROM key_node WHERE node_id IN (SELECT node_id FROM kept)")
        for table in RECORDS:
            by_hand(cluster, f"INSERT INTO {table} SELECT * FROM kept_{table} ON CONFLICT DO NOTHING")
            by_hand(cluster, f"DROP TABLE kept_{table}")

    assert {t["certificate_id"] for t in find_erased(reply.body)} == {str(gone.certificate)}
    assert gone.markers.run not in json.dumps(reply.body)


@of_files
def test_a_keyring_file_copied_back(gone: Gone) -> None:
    """It opens nothing, because no row that there is hangs from it; the next start destroys it again."""
    names = {path.name for path in roots(gone)}
    [old] = {path.name for path in gone.keyring.glob("root-*")} - names
    shutil.copy(gone.keyring / old, gone.copy.home / "keyring" / old)

    reply = gone.copy.call(MANAGER, "GET", f"/v1/cases/{gone.case}")
    with gone.vault() as vault:
        answers = vault.open_many(gone.fields)

    assert {t["certificate_id"] for t in find_erased(reply.body)} == {str(gone.certificate)}
    assert all(isinstance(answer, Erased) for answer in answers)
    assert {path.name for path in roots(gone)} == names


def roots(gone: Gone) -> list[Path]:
    return list((gone.copy.home / "keyring").glob("root-*.key"))
