"""Asking several stores at once how they are, for as long as an answer can be waited for."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Generic, TypeVar

LONGEST_SECONDS = 3.0
"""Longest that one who asks waits; what has not answered by then counts as away."""

T = TypeVar("T")


class Asking(Generic[T]):
    """Questions, each with a thread of its own. Whoever asks while one is being answered shares that answer.

    So a store that hangs delays no other and is asked once however many ask; nor do many who ask at once cost it more
    than one of its connections.
    """

    def __init__(self, questions: Mapping[str, Callable[[], T]]) -> None:
        self._questions = questions
        self._threads = ThreadPoolExecutor(max(1, len(questions)), "asking")
        self._lock = threading.Lock()
        self._asked: dict[str, Future[T]] = {}

    def answers(self) -> dict[str, Future[T]]:
        """Return what was answered in time, by question: a future that holds a result, or the error that it raised."""
        with self._lock:
            for name, question in self._questions.items():
                if name not in self._asked or self._asked[name].done():
                    self._asked[name] = self._threads.submit(question)
            asked = dict(self._asked)
        wait(asked.values(), timeout=LONGEST_SECONDS)
        return {name: future for name, future in asked.items() if future.done()}
