"""This machine: what a local broker needs, room on the disk, and whether memory may go to one in clear."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

from application.settings import Settings, variable
from cli.checks.finding import Finding
from ops.kafka.jars import OLDEST_JAVA, cache_folder, java_version

LEAST_FREE_BYTES = 2 * 1024**3
_SWAPS = Path("/proc/swaps")
_DEVICES = Path("/sys/class/block")


def java(settings: Settings) -> Iterator[Finding]:
    """Look for the Java that a local broker runs on."""
    version = java_version()
    if settings.kafka and version is None:
        yield Finding("java", "ok", "none, and none needed: Kafka is elsewhere")
    elif version is None or version < OLDEST_JAVA:
        yield Finding("java", "failed", str(version or "none"), "apt-get install default-jre-headless")
    else:
        yield Finding("java", "ok", str(version))


def maven(settings: Settings) -> Iterator[Finding]:
    """Look for Maven, or for what it would fetch."""
    folder = cache_folder()
    if folder.exists():
        yield Finding("maven", "ok", f"Kafka is already in {folder}")
    elif shutil.which("mvn"):
        yield Finding("maven", "ok", "there; Kafka will be fetched at the first start")
    else:
        yield Finding("maven", "ok" if settings.kafka else "failed", "none", "apt-get install maven")


def disk(settings: Settings) -> Iterator[Finding]:
    """Look at the free space where the home is: head files, and the servers of a local copy."""
    folder = next(parent for parent in (settings.home_path, *settings.home_path.parents) if parent.exists())
    free = shutil.disk_usage(folder).free
    shown = f"{free / 1024**3:.1f} GiB free in {folder}"
    if free < LEAST_FREE_BYTES:
        yield Finding("disk", "failed", shown, f"make room, or set {variable('home')} to another disk")
    else:
        yield Finding("disk", "ok", shown)


def swap(_settings: Settings) -> Iterator[Finding]:
    """Look whether the kernel may write memory to a disk in clear: there are keys and people's texts in it."""
    clear = clear_swaps(_SWAPS.read_text(), _DEVICES) if _SWAPS.exists() else []
    if clear:
        advice = "swapoff it, or encrypt it with a random key at each boot (crypttab's option swap)"
        yield Finding("swap", "warning", f"{', '.join(clear)} is not encrypted", advice)
    else:
        yield Finding("swap", "ok", "none that is not encrypted")


def clear_swaps(swaps: str, devices: Path) -> list[str]:
    """Return the active swap areas that are neither memory themselves (zram) nor encrypted by the device mapper.

    ``swaps``: the text of /proc/swaps (proc(5)); ``devices``: /sys/class/block. A file is taken for clear, whatever
    its file system lies on.
    """
    areas = [line.split()[0] for line in swaps.splitlines()[1:] if line.strip()]
    return [area for area in areas if not _kept_in(devices / Path(area).resolve().name)]


def _kept_in(device: Path) -> bool:
    uuid = device / "dm" / "uuid"
    return device.name.startswith("zram") or (uuid.exists() and uuid.read_text().startswith("CRYPT-"))
