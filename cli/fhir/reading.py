"""Reads files and gives, person by person, what is to be published."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from cli.fhir.gather import Gatherer
from cli.fhir.index import Index, read_index
from cli.fhir.intake import Import, build_import
from cli.fhir.people import People, find_people
from cli.fhir.report import Report

Progress = Callable[[int, int], None]
"""Told a file's number (from 1) and how many of its bytes have been read."""


def _unwatched(file: int, size: int) -> None:
    """Watch nothing."""


@dataclass(frozen=True)
class FhirFiles:
    """Files that were read once: who is in them is known."""

    paths: Sequence[Path]
    index: Index
    people: People

    @classmethod
    def open(cls, paths: Sequence[Path], on_read: Progress = _unwatched) -> FhirFiles:
        """Read files for the first time. Raises ``OSError``."""
        index = read_index(paths, on_read)
        return cls(paths, index, find_people(index))

    @property
    def number_of_people(self) -> int:
        """Return how many people there are, those who were merged into others not counted."""
        return sum(person.merged_into is None for person in self.people.persons)

    def imports(
        self, language: str, policy_version: str, report: Report, on_read: Progress = _unwatched
    ) -> Iterator[Import]:
        """Read the files again and give each person once. Raises ``OSError``."""
        for person in Gatherer(self.paths, self.index, self.people, report).gather(on_read):
            yield build_import(person, language, policy_version, report)
