"""Forgetting one person with the root key in SoftHSM2, beside the same with the root key in a file."""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID, uuid4

from psycopg2.extensions import make_dsn

from bench.database import as_owner, cluster
from bench.figures import Figure, Result, Run
from domain.sealed import KeyScope
from ops.roles import CLUSTERS, OWNER
from store.migrate import migrate
from vault.keyring_location import Folders, KeyringLocation, Token
from vault.vault import MIGRATIONS, Vault

PEOPLE = 200
CATEGORIES = ("identity", "medical", "insurance")
EACH = 4
MODULE = Path("/usr/lib/softhsm/libsofthsm2.so")
FORGETTING = Figure(
    "forgetting one person, root key in SoftHSM2", "ms", 2, at_most=True, note="the same with the root key in a file"
)
FIGURES = (FORGETTING,)


def measure(run: Run) -> Iterator[Result]:
    """Yield how long one destruction takes, the changed rows read back and opened, every sync included."""
    if shutil.which("softhsm2-util") is None:
        yield FORGETTING.skipped("softhsm2 is not installed")
        return
    with cluster(run.folder, "pg-keys") as started:
        dsn = started.dsn(OWNER, CLUSTERS[started.name][0])
        with (
            _installation(dsn, "in_device", _token(run.folder)) as ours,
            _installation(dsn, "in_file", Folders((run.folder / "keyring",))) as peer,
        ):
            yield FORGETTING.alternate(lambda: _forget(*ours), lambda: _forget(*peer), run.rounds)


def _forget(vault: Vault, people: list[UUID]) -> float:
    took = []
    for _ in range(EACH):
        before = time.perf_counter()
        vault.destroy(uuid4(), datetime.now(UTC), [people.pop()], [])
        took.append(time.perf_counter() - before)
    return 1000 * statistics.median(took)


@contextmanager
def _installation(dsn: str, schema: str, keyring: KeyringLocation) -> Iterator[tuple[Vault, list[UUID]]]:
    """Give a vault of an installation of its own, and its people."""
    as_owner(dsn, f"CREATE SCHEMA {schema}")
    own = make_dsn(dsn, options=f"-c search_path={schema}")
    migrate(own, MIGRATIONS)
    vault = Vault.open_at(own, keyring)
    people = [uuid4() for _ in range(PEOPLE)]
    for subject_id in people:
        for category in CATEGORIES:
            vault.scope(KeyScope(subject_id, category, None, 1))
    try:
        yield vault, people
    finally:
        vault.close()


def _token(folder: Path) -> Token:
    """Return a new token in a folder of SoftHSM2's own."""
    (folder / "tokens").mkdir()
    settings = folder / "softhsm2.conf"
    settings.write_text(f"directories.tokendir = {folder / 'tokens'}\nobjectstore.backend = file\n")
    os.environ["SOFTHSM2_CONF"] = str(settings)
    pin = folder / "pin"
    pin.write_text("12345678")
    command = [
        "softhsm2-util",
        "--init-token",
        "--free",
        "--label",
        "bench",
        "--pin",
        "12345678",
        "--so-pin",
        "87654321",
    ]
    subprocess.run(command, check=True, capture_output=True)
    return Token(MODULE, pin, "bench")
