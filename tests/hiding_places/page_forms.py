"""The forms of a page, as a browser would send them: by which method, and what can be typed into each."""

from __future__ import annotations

from dataclasses import dataclass, field
from html.parser import HTMLParser

CLOSED = {"hidden", "submit", "button", "reset", "image", "checkbox", "radio", "range", "color"}
"""Types of input into which nothing can be typed."""


@dataclass
class Form:
    """A form: the methods it can be sent by, and the names of its fields that take whatever is typed."""

    methods: set[str]
    typed: list[str] = field(default_factory=list)

    @property
    def puts_into_address(self) -> list[str]:
        """Return the fields whose text would stand in an address."""
        return self.typed if "get" in self.methods else []


class _Forms(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        # What stands outside of any form may belong to one by its attribute: it counts as sent by get.
        self.outside = Form({"get"})
        self.found: list[Form] = []
        self._inside: Form | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        form = self._inside or self.outside
        if tag == "form":
            self._inside = Form({(given.get("method") or "get").lower()})
            self.found.append(self._inside)
        elif tag == "textarea" or (tag == "input" and (given.get("type") or "text").lower() not in CLOSED):
            form.typed.append(given.get("name") or given.get("id") or tag)
        if "formmethod" in given:
            form.methods.add((given["formmethod"] or "get").lower())

    def handle_endtag(self, tag: str) -> None:
        if tag == "form":
            self._inside = None


def forms(html: str) -> list[Form]:
    """Return the forms of a page or template, and what stands outside of them as one more."""
    parser = _Forms()
    parser.feed(html)
    return [*parser.found, parser.outside]
