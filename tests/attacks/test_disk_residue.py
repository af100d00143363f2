"""Residue attack over a whole disk: a forgotten person's wrapped keys are still there, and nothing opens them.

The attacker has every byte below the home, the keys cluster's base backup of before, its WAL archive, every key that
survives and the keyring's volume byte by byte. What he lacks is the one root key that was overwritten.
"""

from __future__ import annotations

import json
import shutil
from collections import Counter
from pathlib import Path
from uuid import UUID

import pytest

from ops.postgres import Cluster
from tests.attacks.backups import archived, flush, take_base_backup
from tests.attacks.conftest import Tell
from tests.attacks.disk import Found, everything
from tests.attacks.old_keys import Rows, keys_of_today, opened
from tests.callers import INTAKE_SERVICE
from tests.e2e.copy_of_service import Copy
from tests.e2e.journey import Journey, Markers, over_http, subject_body
from tests.e2e.reading_topics import sealed_fields
from tests.keyrings import of_files
from vault.nodes import Node
from vault.sealing import SealedValue, event_key, unseal

pytestmark = [pytest.mark.faults, of_files]


def found_in(nodes: list[Node], contents: list[Found]) -> tuple[list[Node], Counter[str]]:
    """Return the nodes whose wrapped key stands somewhere, and how many places of each kind it stands in."""
    standing = {node.node_id: [item.kind for item in contents if node.wrapped in item.content] for node in nodes}
    places = Counter(kind for kinds in standing.values() for kind in kinds)
    return [node for node in nodes if standing[node.node_id]], places


def test_no_surviving_key_opens_what_a_disk_still_holds(attacked: Copy, tmp_path: Path, tell: Tell) -> None:
    cluster = Cluster(attacked.home / "pg-keys")
    archive, backup, aside = tmp_path / "archive", tmp_path / "backup", tmp_path / "aside"
    with archived(cluster, archive):
        for _ in range(5):
            assert attacked.call(INTAKE_SERVICE, "POST", "/v1/subjects", subject_body(Markers())).status == 201
        journey = Journey(attacked, over_http(attacked))
        for step in journey.steps[:-1]:
            step()
        subject = UUID(journey.story.subject)
        before = Rows.read(cluster)
        take_base_backup(cluster, backup)
        shutil.copytree(attacked.home / "keyring", aside)
        journey.approve_and_wait()
        flush(cluster)
    after = Rows.read(cluster)
    disk = list(everything(attacked.home, {"WAL archive": archive, "base backup": backup}))
    lost = before.hanging_from(subject)
    parts = sealed_fields(attacked, str(subject))
    keys = keys_of_today(after, attacked.home / "keyring")

    found, places = found_in(lost, disk)
    size = sum(len(item.content) for item in disk) / 2**20
    tell(f"{len(disk)} pieces, {size:.0f} MiB; the person's {len(lost)} wrapped keys stand in {dict(places)}")
    assert {node.node_id for node in found} == {node.node_id for node in lost}
    assert {"write-ahead log", "WAL archive", "base backup"} <= places.keys()
    assert subject not in after.nodes
    assert opened(found, before.scopes, keys) == []
    tell(f"{len(keys)} candidate keys, {len(after.nodes)} of them of nodes that survive, opened none")

    # The control: the same wrapped keys, the same sealed values from the topic, and the root key of before.
    then = before.tree(aside)
    plain = [
        unseal(event_key(then.key(p.part.scope_id), p.binding), SealedValue.parse(p.part.value), p.binding)
        for p in parts
    ]
    shown = json.dumps(plain)
    assert [marker for marker in journey.markers.made if "clinic" not in marker and marker not in shown] == []
    assert set(opened(found, before.scopes, keys_of_today(before, aside))) == {node.node_id for node in lost}
    tell(f"control: with the root key of before, all {len(lost)} open, and all {len(parts)} sealed values of the topic")
