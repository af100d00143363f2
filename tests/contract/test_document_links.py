"""Every link in the documents leads somewhere: files, headings, and tests by their names; every command exists."""

from __future__ import annotations

import ast
import importlib
import re
import shlex
from functools import cache
from pathlib import Path

import click
import pytest

from application.metrics import METRICS
from cli.main import COMMANDS

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted(ROOT.glob("docs/**/*.md"))]
NAMED = [str(page.relative_to(ROOT)) for page in PAGES]
THREATS = ROOT / "docs" / "threat-model.md"
RUNBOOKS = sorted((ROOT / "docs" / "runbooks").glob("*.md"))
PROCEDURES = {"restore.md"}
"""Runbooks of what an operator sets out to do; all others are of faults that are met."""
_LINK = re.compile(r"!?\[((?:[^\]\[`]|`[^`]*`)*)\]\(([^)\s]+)\)")


def links(page: Path) -> list[tuple[str, str]]:
    """Return text and target of each link that leads to a file of ours or a heading."""
    found = _LINK.findall(without_code(page.read_text()))
    return [(text, target) for text, target in found if not re.match(r"[a-z]+:", target)]


def without_code(text: str) -> str:
    return re.sub(r"^ *```.*?^ *```", "", text, flags=re.DOTALL | re.MULTILINE)


@cache
def anchors(page: Path) -> frozenset[str]:
    """Return the anchors of a page's headings, as the common renderers make them."""
    titles = re.findall(r"^#+ (.+)$", without_code(page.read_text()), re.MULTILINE)
    plain = [re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", title) for title in titles]
    return frozenset(re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in plain)


@cache
def functions(module: Path) -> frozenset[str]:
    """Return the names of a module's functions, also those in classes."""
    tree = ast.parse(module.read_text())
    return frozenset(node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef))


def dead(page: Path, text: str, target: str) -> str:
    """Return why a link leads nowhere; empty if it leads somewhere."""
    path, _, anchor = target.partition("#")
    file = (page.parent / path).resolve() if path else page
    if not file.exists():
        return f"{target}: no such file"
    if anchor and anchor not in anchors(file):
        return f"{target}: no such heading"
    name = text.strip("`")
    if file.suffix == ".py" and name.startswith("test_") and name not in functions(file):
        return f"{target}: no test {name}"
    return ""


@pytest.mark.parametrize("page", NAMED)
def test_every_link_leads_somewhere(page: str) -> None:
    why = [dead(ROOT / page, text, target) for text, target in links(ROOT / page)]

    assert [reason for reason in why if reason] == []


@pytest.mark.parametrize(
    ("text", "target", "why"),
    [
        ("x", "no-such-page.md", "no-such-page.md: no such file"),
        ("x", "keys.md#no-such-heading", "keys.md#no-such-heading: no such heading"),
        ("x", "#no-such-heading", "#no-such-heading: no such heading"),
        (
            "`test_nothing`",
            "../tests/unit/vault/test_padding.py",
            "../tests/unit/vault/test_padding.py: no test test_nothing",
        ),
        ("x", "keys.md#what-is-where", ""),
        ("`test_only_the_owner_may_read`", "../tests/unit/vault/test_file_keyring.py", ""),
    ],
)
def test_a_link_that_leads_nowhere_is_found(text: str, target: str, why: str) -> None:
    assert links_of(f"see [{text}]({target}).") == [(text, target)]
    assert dead(THREATS, text, target) == why


def links_of(text: str) -> list[tuple[str, str]]:
    return _LINK.findall(text)


def test_every_test_that_a_document_names_is_linked_by_its_name() -> None:
    """A link to a test whose text is another one's name, or a name without a link, would prove nothing."""
    for page in PAGES:
        text = without_code(page.read_text())
        unlinked = re.findall(r"`(test_[a-z0-9_]+)`", _LINK.sub("", text))
        assert unlinked == [], page.name


def test_each_attacker_of_the_threat_model_meets_a_test() -> None:
    """Every chapter about somebody, and each hiding place, links at least one test."""
    chapters = re.split(r"^## (.+)$", THREATS.read_text(), flags=re.MULTILINE)[1:]
    about = dict(zip(chapters[::2], chapters[1::2], strict=True))
    exempt = {"What is protected", "What is not defended against"}
    assert exempt < about.keys()
    for title, chapter in about.items():
        if title not in exempt:
            assert re.search(r"\[`test_\w+`\]\(\.\./tests/", chapter), title
    rows = re.findall(r"^\| (?!place|---)(.+) \|$", about["Where plaintext could hide"], re.MULTILINE)
    assert len(rows) >= 14
    for row in rows:
        assert "[`test_" in row.rpartition("|")[2], row


@pytest.mark.parametrize("page", sorted({page.name for page in RUNBOOKS} - PROCEDURES))
def test_a_runbook_says_what_is_seen_what_happens_by_itself_what_to_do_and_what_cannot_be_done(page: str) -> None:
    text = (ROOT / "docs" / "runbooks" / page).read_text()

    for part in ("**Seen:**", "**By itself:**", "**Do:**", "**Cannot be repaired:**"):
        assert text.replace("**Do**,", "**Do:**", 1).count(part) == 1, part


def commands_in(page: Path) -> list[str]:
    """Return every command line of ours that a page shows, in text or in a block, without its name."""
    text = page.read_text()
    spans = re.findall(r"`((?:[A-Z_]+=\S+ )*casekeeper [a-z][^`]*)`", without_code(text))
    blocks = "\n".join(re.findall(r"^ *```sh\n(.*?)^ *```", text, re.DOTALL | re.MULTILINE))
    lines = re.findall(r"^ *((?:[A-Z_]+=\S+ )*casekeeper .*)$", blocks, re.MULTILINE)
    return [re.sub(r"^(?:[A-Z_]+=\S+ )*casekeeper ", "", line).strip() for line in (*spans, *lines)]


def unknown(line: str) -> str:
    """Return the word of a command line that the program would not know; empty if it knows them all."""
    first, *words = shlex.split(line, comments=True)
    if first not in COMMANDS:
        return first
    command: click.Command = importlib.import_module(COMMANDS[first][0]).command
    for word in words:
        if word in ("|", ">", "…"):
            break
        if isinstance(command, click.Group) and not word.startswith("-"):
            if word not in command.commands:
                return word
            command = command.commands[word]
        elif word.startswith("-") and not any(word in parameter.opts for parameter in command.params):
            return word
    return ""


@pytest.mark.parametrize("page", [str(page.relative_to(ROOT)) for page in PAGES if "casekeeper " in page.read_text()])
def test_every_command_that_a_document_shows_exists(page: str) -> None:
    assert {line: word for line in commands_in(ROOT / page) if (word := unknown(line))} == {}


@pytest.mark.parametrize(("line", "word"), [
    ("doctr", "doctr"), ("doctor --jsn", "--jsn"), ("deadletters lst", "lst"), ("deadletters list --vew x", "--vew"),
    ("deadletters list --view forget", ""), ("rebuild case_page", ""),
])  # fmt: skip
def test_a_command_that_does_not_exist_is_found(line: str, word: str) -> None:
    assert unknown(line) == word


def test_every_line_that_the_keyrings_runbook_explains_is_one_the_program_says() -> None:
    text = (ROOT / "docs" / "runbooks" / "keyring-loss.md").read_text()
    explained = [line.removesuffix(" …") for line in re.findall(r"^\| `([^`]+)` \|", text, re.MULTILINE)]
    source = "".join(file.read_text() for file in ROOT.glob("vault/*.py"))

    assert len(explained) >= 8
    assert [line for line in explained if f'"{line}' not in source] == []


@pytest.mark.parametrize("page", [page.name for page in RUNBOOKS])
def test_every_alert_and_metric_that_a_runbook_names_exists(page: str) -> None:
    text = (ROOT / "docs" / "runbooks" / page).read_text()
    alerts = set(re.findall(r"alert: (\w+)", (ROOT / "ops" / "prometheus" / "alerts.yml").read_text()))
    metrics = {f"casekeeper_{name.removeprefix('casekeeper_')}" for name in METRICS}

    assert set(re.findall(r"`(Casekeeper[A-Za-z]+)`", text)) <= alerts
    assert set(re.findall(r"`(casekeeper_[a-z_]+)", text)) <= metrics
