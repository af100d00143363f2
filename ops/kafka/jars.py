"""Apache Kafka's jars, copied once per user by Maven from the pinned ``pom.xml`` beside this module.

``python3 -m ops.kafka.fetch`` fetches them ahead of time. Maven checks the checksum of all it downloads
(``--strict-checksums``).
"""

from __future__ import annotations

import functools
import hashlib
import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

from ops import debian
from ops.errors import LocalServerError

VERSION = "4.3.1"
POM = Path(__file__).with_name("pom.xml")
PACKAGES = ("default-jre-headless", "maven")
OLDEST_JAVA = 17


def java() -> str:
    """Return the path of Java 17 or later, installed if missing and allowed; raises LocalServerError if neither."""
    if (java_version() or 0) < OLDEST_JAVA:
        debian.install(PACKAGES, f"Kafka needs Java {OLDEST_JAVA} or later")
    found = shutil.which("java")
    version = java_version()
    if found is None or version is None or version < OLDEST_JAVA:
        raise LocalServerError(f"Kafka needs Java {OLDEST_JAVA} or later, found {version or 'none'}")
    return found


def java_version() -> int | None:
    """Return the major version of the Java on the path; None if there is none or it does not say."""
    found = re.search(r'version "(\d+)', java_build())
    return int(found.group(1)) if found else None


def java_build() -> str:
    """Return what the Java on the path says of itself, with its build; empty if there is none."""
    found = shutil.which("java")
    return _said_by(os.path.realpath(found)) if found else ""


@functools.cache
def _said_by(java: str) -> str:
    """Ask a program once: each start of a broker wants to know several times, and another Java has another path."""
    return subprocess.run([java, "-version"], capture_output=True, text=True, check=False).stderr


def jars() -> Path:
    """Return the folder of Kafka's jars, fetched if missing. Copies that fetch at once do not disturb one another.

    Raises LocalServerError if Maven is missing and may not be installed, or cannot fetch.
    """
    folder = cache_folder()
    if folder.exists():
        return folder
    if shutil.which("mvn") is None:
        debian.install(PACKAGES, "Kafka is fetched through Maven")
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{folder.name}-", dir=folder.parent) as draft:
        libraries = Path(draft) / "libs"
        _copy_dependencies(libraries)
        try:
            libraries.rename(folder)
        except OSError:
            # Another copy was faster: its folder is complete, because it too appeared by being renamed.
            if not folder.exists():
                raise
    return folder


def cache_folder() -> Path:
    """Return where the jars of this very ``pom.xml`` are kept, there or not."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    digest = hashlib.sha256(POM.read_bytes()).hexdigest()[:8]
    return cache / "casekeeper" / f"kafka-{VERSION}-{digest}"


def _copy_dependencies(target: Path) -> None:
    fetched = subprocess.run(
        [
            *("mvn", "--quiet", "--batch-mode", "--strict-checksums", "--file", str(POM)),
            *("dependency:copy-dependencies", "-DincludeScope=runtime", f"-DoutputDirectory={target}"),
        ],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if fetched.returncode != 0 or not (target / f"kafka_2.13-{VERSION}.jar").exists():
        errors = [line for line in fetched.stdout.splitlines() if line.startswith("[ERROR]")]
        raise LocalServerError(f"Maven could not fetch Kafka: {(errors or ['no reason given'])[0]}")
