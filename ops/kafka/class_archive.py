"""Kafka's classes as Java keeps them in memory, in a file that a start reads instead of the jars (JEP 350).

A start takes half of the processor's time with it. Java looks by itself whether the file is of its own build and of
these jars, and does without it if not. The file is never written where a starting server could meet half of it.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from ops.kafka.jars import cache_folder, java_build


def class_archive() -> Path:
    """Return where the archive of this Kafka and this Java is kept, there or not."""
    build = hashlib.sha256(java_build().encode()).hexdigest()[:8]
    return cache_folder().with_name(f"{cache_folder().name}-{build}.jsa")


def using() -> tuple[str, ...]:
    """Return Java's options that start from the archive, if it is there."""
    archive = class_archive()
    return (f"-XX:SharedArchiveFile={archive}",) if archive.exists() else ()


def writing(draft: Path) -> tuple[str, ...]:
    """Return Java's options that write the archive of what was loaded when the program ends by itself or by SIGTERM."""
    return (f"-XX:ArchiveClassesAtExit={draft}",)
