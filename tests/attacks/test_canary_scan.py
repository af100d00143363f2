"""Canary scan: every field that may say something about a person carries a canary, and no byte that is kept has one.

Kept is: the databases' files and WAL, a WAL archive, base backups, what the tables hold unpacked, Kafka's segments and
every record in them, logs, temporary files, the keyring, ``runtime.json``, and whatever else stands below the home.
"""

from __future__ import annotations

import base64
import json
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
from kafka import KafkaAdminClient, KafkaProducer
from kafka.admin import NewTopic

from casekeeper_client import Accepted, Client
from domain.events import EVENT_TYPES
from domain.registry import Sealed, fields_of
from ops.postgres import Cluster
from ops.roles import CLUSTERS, VIEWS
from tests.attacks.backups import archived, flush, take_base_backup
from tests.attacks.canaries import Canaries, spellings, with_free_text
from tests.attacks.conftest import Tell
from tests.attacks.disk import Found, everything
from tests.attacks.story import Door, Story, provoke_over_http, provoke_over_inbox
from tests.e2e.copy_of_service import Copy
from tests.e2e.reading_topics import TOPICS, messages, published
from tests.keyrings import of_files
from tests.waiting import until

pytestmark = pytest.mark.faults


class Watched:
    """A copy whose WAL is archived from now on."""

    def __init__(self, copy: Copy, folder: Path) -> None:
        self.copy = copy
        self.folder = folder
        self.clusters = [Cluster(copy.home / name) for name in CLUSTERS]

    @contextmanager
    def archived(self) -> Iterator[None]:
        with ExitStack() as stack:
            for cluster in self.clusters:
                stack.enter_context(archived(cluster, self._of(cluster, "archive")))
            yield

    def back_up(self, name: str) -> None:
        for cluster in self.clusters:
            take_base_backup(cluster, self._of(cluster, name))

    def kept(self, backup: str) -> Iterator[Found]:
        """Return every byte there is, one of the backups included, once the servers have written what they hold."""
        for cluster in self.clusters:
            flush(cluster)
        archives = {f"WAL archive of {c.name}": self._of(c, "archive") for c in self.clusters}
        backups = {f"base backup of {c.name}": self._of(c, backup) for c in self.clusters}
        yield from everything(self.copy.home, {**archives, **backups})
        yield Found("logs", self.copy.home.with_suffix(".log"), self.copy.home.with_suffix(".log").read_bytes())
        yield from self._tables()

    def _of(self, cluster: Cluster, what: str) -> Path:
        return self.folder / f"{what}-{cluster.name}"

    def _tables(self) -> Iterator[Found]:
        """Return every table unpacked: PostgreSQL compresses long values."""
        for cluster in self.clusters:
            for database in CLUSTERS[cluster.name]:
                connection = cluster.connect(database)
                with connection.cursor() as cursor:
                    cursor.execute(
                        "SELECT format('%I.%I', schemaname, tablename) FROM pg_tables"
                        " WHERE schemaname NOT IN ('pg_catalog', 'information_schema')"
                    )
                    for (name,) in cursor.fetchall():
                        cursor.execute(f"SELECT t::text FROM {name} t")
                        rows = "\n".join(row[0] for row in cursor.fetchall())
                        yield Found("rows of tables", Path(database) / name, rows.encode())
                connection.close()


def search(kept: Iterable[Found], canaries: Canaries) -> tuple[list[str], Counter[str]]:
    """Return where something was found, in which spelling, and how many bytes of each kind were searched.

    Most files of a base backup, and of the databases, are the same bytes as others: those are searched once.
    """
    unique = {needle: name for text in [canaries.prefix, *canaries.others] for name, needle in spellings(text).items()}
    hits, searched, in_content = [], Counter[str](), dict[bytes, list[str]]()
    for item in kept:
        searched[item.kind] += len(item.content)
        if item.content not in in_content:
            in_content[item.content] = [name for needle, name in unique.items() if needle in item.content]
        hits += [f"{item.kind} {item.path} {name}" for name in in_content[item.content]]
    return hits, searched


def in_words(searched: Counter[str]) -> str:
    return ", ".join(f"{kind} {size / 1024:.0f} KiB" for kind, size in sorted(searched.items()))


@contextmanager
def through_inbox(copy: Copy) -> Iterator[tuple[Door, Client, dict[str, Any]]]:
    """Give a door through Kafka, the client behind it, and what it was registered as."""
    registered = json.loads(copy.run("actors", "add", "--service", "web-forms", "--json").stdout)
    with Client(
        copy.kafka, f"{copy.url}/v1/inbox-key", registered["publisher_id"], registered["private_key"]
    ) as client:

        def door(who: Any, name: str, ids: Any, body: Any) -> Any:
            message = client.publish(name, {**ids, **body}, actor=who[2], purpose=who[1])
            outcome = client.wait_for_outcome(message, 60)
            assert isinstance(outcome, Accepted), outcome
            return outcome.answer

        yield door, client, registered


def test_no_canary_is_kept_anywhere_before_or_after_forgetting(attacked: Copy, tmp_path: Path, tell: Tell) -> None:
    watched, canaries = Watched(attacked, tmp_path), Canaries()
    letters = len(messages(attacked, TOPICS[3]))
    with watched.archived(), through_inbox(attacked) as (door, client, registered):
        stories = [Story(attacked, canaries), Story(attacked, canaries, door)]
        for story in stories:
            story.live()
            assert story.read() > 15
        refused = provoke_over_http(attacked, canaries, stories[0])
        refused += provoke_over_inbox(client, canaries, stories[1], registered)
        until(lambda: len(messages(attacked, TOPICS[3])) >= letters + 3, 60, "dead letters")
        watched.back_up("backup-before")
        before, searched = search(watched.kept("backup-before"), canaries)
        tell(f"{len(canaries.made)} canaries, {refused} refusals; before forgetting: {in_words(searched)}")
        for story in stories:
            story.forget()
            assert story.read() == 0
        watched.back_up("backup-after")
        after, searched = search(watched.kept("backup-after"), canaries)
        tell(f"after forgetting: {in_words(searched)}")
    lived = set().union(*(story.operations for story in stories))

    assert (before, after) == ([], [])
    assert with_free_text() <= lived, "an operation that can carry text is in no story"
    assert sealed_on_topic(attacked) == sealed_fields(), "a sealed field never came by"


def sealed_fields() -> set[tuple[str, str]]:
    """Return every sealed field of every event, by the registry."""
    return {
        (topic, name)
        for topic, event in EVENT_TYPES.items()
        for name, mark in fields_of(event).items()
        if isinstance(mark, Sealed)
    }


def sealed_on_topic(copy: Copy) -> set[tuple[str, str]]:
    return {(record["type"], name) for _, record in published(copy) for name, part in record["sealed"].items() if part}


def plant_row(copy: Copy, text: str) -> None:
    connection = Cluster(copy.home / "pg-main").connect(VIEWS)
    with connection.cursor() as cursor:
        cursor.execute("CREATE TABLE IF NOT EXISTS planted (value text)")
        cursor.execute("INSERT INTO planted VALUES (%s)", (text,))
    connection.close()


@pytest.fixture
def planted(attacked: Copy) -> Iterator[Canaries]:
    """Canaries that were written in every kind of place, as if the service had."""
    canaries = Canaries()
    text = canaries.text("planted")
    home = attacked.home
    files = [home / "logs" / "planted.log", home / "tmp" / "planted", home / "keyring" / ".planted"]
    for file in files:
        file.write_text(text)
    plant_row(attacked, text)
    address = attacked.kafka
    admin = KafkaAdminClient(bootstrap_servers=address)
    admin.create_topics([NewTopic(name=f"planted-{codec}", num_partitions=1, replication_factor=1) for codec in CODECS])
    for codec in CODECS:
        producer = KafkaProducer(bootstrap_servers=address, compression_type=codec)
        producer.send(f"planted-{codec}", ("x" * 5000 + text).encode() * 20).get(30)
        producer.close()
    yield canaries
    for file in files:
        file.unlink()
    admin.delete_topics([f"planted-{codec}" for codec in CODECS])
    admin.close()


CODECS = ("lz4", "gzip")


@of_files
def test_the_scan_finds_what_is_planted(attacked: Copy, tmp_path: Path, tell: Tell, request) -> None:
    """The control: a canary that stands in a place of each kind is found in each."""
    watched = Watched(attacked, tmp_path)
    with watched.archived():
        canaries = request.getfixturevalue("planted")
        watched.back_up("backup")
        plant_row(attacked, next(iter(canaries.made)))
        hits, _ = search(watched.kept("backup"), canaries)

    expected = [
        *("pages", "write-ahead log", "WAL archive of pg-main", "base backup of pg-main", "rows of tables"),
        *("records of Kafka", "logs", "other files", "keyring"),
    ]
    assert {kind: any(hit.startswith(kind) for hit in hits) for kind in expected} == dict.fromkeys(expected, True)
    compressed = {codec for codec in CODECS for hit in hits if hit.startswith("records") and f"planted-{codec}" in hit}
    assert compressed == set(CODECS)
    assert not any(hit.startswith("other files of Kafka") and "planted-gzip" in hit for hit in hits)
    tell(f"control: found in {', '.join(expected)}; gzip hides it from whoever does not unpack")


def test_the_scan_finds_every_spelling() -> None:
    """The control of the spellings: each is written by somebody else's code where there is one."""

    canaries = Canaries()
    text = canaries.text("spelling")
    written = {
        "UTF-16": text.encode("utf-16"),
        "JSON": json.dumps({"name": text}).encode(),
        "JSON in JSON": json.dumps({"a": json.dumps({"name": text})}).encode(),
        "hex": b"\\x" + text.encode().hex().encode(),
        "upper": text.upper().encode(),
        "address": f"GET /v1/{canaries.plain('path')}?a=b".encode(),
        "method": canaries.plain("method").upper().encode(),
        **{f"base64 at {n}": base64.b64encode(b"?" * n + text.encode() + b"~") for n in range(3)},
        **{f"base64url at {n}": base64.urlsafe_b64encode(b"?" * n + text.encode() + b"~") for n in range(3)},
    }
    found = {name: search([Found(name, Path(), content)], canaries)[0] for name, content in written.items()}

    assert [name for name, hits in found.items() if not hits] == []
    assert search([Found("other", Path(), b"Zebra" * 100)], canaries)[0] == []
