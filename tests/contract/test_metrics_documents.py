"""Board, alerts and operations page speak of the metrics there are, with the labels and values they have."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from application.metrics import METRICS, ROUTE
from cli.main import COMMANDS

ROOT = Path(__file__).resolve().parents[2]
BOARD = ROOT / "ops" / "grafana" / "casekeeper.json"
ALERTS = ROOT / "ops" / "prometheus" / "alerts.yml"
ALERTS_TEST = Path(__file__).with_name("alerts_test.yml")
CONFIG = ROOT / "ops" / "prometheus" / "prometheus.yml"
PAGE = ROOT / "docs" / "operations.md"
HISTOGRAM = ("_bucket", "_sum", "_count")
PROMETHEUS_OWN = {"up": {"job", "instance"}}
"""Metrics and labels that Prometheus makes itself."""
TARGET = {"job", "instance"}
WORDS = {
    *("sum", "min", "max", "by", "on", "and", "ignoring", "rate", "increase", "changes", "time", "topk"),
    *("histogram_quantile", "le", "last_over_time"),
}
"""What the expressions use of the query language."""
_NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
_SELECTOR = re.compile(r'(\w+)\s*(=~|!~|!=|=)\s*"([^"]*)"')


def rules() -> list[dict[str, Any]]:
    return [rule for group in yaml.safe_load(ALERTS.read_text())["groups"] for rule in group["rules"]]


def panels() -> list[dict[str, Any]]:
    board: list[dict[str, Any]] = json.loads(BOARD.read_text())["panels"]
    return [panel for panel in board if panel["type"] != "row"]


def expressions() -> dict[str, str]:
    alerts = {f"alert {rule['alert']}": rule["expr"] for rule in rules()}
    return alerts | {
        f"panel {panel['title']} {target['refId']}": target["expr"] for panel in panels() for target in panel["targets"]
    }


def labels_of(name: str) -> dict[str, frozenset[str] | None]:
    """Return the labels of a series with the values they can have, None: any. KeyError when there is no such metric."""
    if name in PROMETHEUS_OWN:
        return dict.fromkeys(PROMETHEUS_OWN[name])
    stem = next((name.removesuffix(end) for end in HISTOGRAM if name.endswith(end)), name)
    metric = METRICS[name] if name in METRICS else METRICS[stem]
    assert (metric.kind == "histogram") == (name not in METRICS), f"{name} is not a series of {metric.name}"
    known: dict[str, frozenset[str] | None] = {label.name: label.values for label in metric.labels}
    return known | dict.fromkeys(TARGET) | ({"le": None} if name.endswith("_bucket") else {})


@pytest.mark.parametrize("where", expressions())
def test_every_series_is_of_a_metric_there_is_with_labels_and_values_it_has(where: str) -> None:
    expression = expressions()[where].replace("$__rate_interval", "5m")
    used: set[str] = set()
    for name, _, selector in re.findall(r"([a-z_]+)(\{([^}]*)\})?", re.sub(r'"[^"]*"', _masked, expression)):
        if name not in METRICS and not name.startswith(("casekeeper_", "process_")) and name not in PROMETHEUS_OWN:
            continue
        known = labels_of(name)
        used.add(name)
        for label, operator, masked in _SELECTOR.findall(selector):
            values = known[label]
            wanted = _unmasked(masked)
            if values is None:
                continue
            found = {v for v in values if (re.fullmatch(wanted, v) if "~" in operator else v == wanted)}
            assert found, f"{name}: {label} is never {wanted}"
    assert used, "asks for nothing"
    plain = re.sub(r"\{[^}]*\}|\[[^\]]*\]|\"[^\"]*\"", " ", expression)
    grouped = {label for name in used for label in labels_of(name)}
    assert set(_NAME.findall(plain)) - used <= WORDS | grouped


def test_the_check_of_expressions_sees_what_is_wrong() -> None:
    with pytest.raises(KeyError):
        labels_of("casekeeper_relay_lags")
    with pytest.raises(AssertionError):
        labels_of("casekeeper_log_head_sum")
    assert "view" not in labels_of("casekeeper_relay_lag")
    assert "halted" in (labels_of("casekeeper_part_state")["state"] or ())


def test_every_metric_is_on_the_board_or_in_an_alert() -> None:
    text = " ".join(expressions().values())
    unused = {name for name in METRICS if not re.search(rf"\b{name}(_bucket|_sum|_count)?\b", text)}

    assert unused == {"process_virtual_memory_bytes"}


def test_every_metric_is_explained_and_every_label_s_values_are_written_out() -> None:
    page = PAGE.read_text()
    explained = re.findall(r"^\| `(\w+)` \|([^|]*)\|([^|]+)\|$", page, re.MULTILINE)

    assert {name for name, _, _ in explained} == set(METRICS)
    assert len(explained) == len(METRICS)
    for name, labels, meaning in explained:
        assert re.findall(r"`(\w+)`", labels) == [label.name for label in METRICS[name].labels], name
        assert len(meaning.strip()) > 20, name
    listed = dict(re.findall(r"^- `(\w+)`: (.+)$", page, re.MULTILINE))
    for metric in METRICS.values():
        for label in metric.labels:
            if label is not ROUTE and label.name not in ("status", "error"):
                assert set(re.findall(r"`([\w]+)`", listed[label.name])) == label.values, label.name


def anchors(page: str) -> list[str]:
    """Return the anchors of a page's headings, as the common renderers make them."""
    titles = re.findall(r"^#+ (.+)$", re.sub(r"^```.*?^```", "", page, flags=re.DOTALL | re.MULTILINE), re.MULTILINE)
    return [re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles]


def test_every_alert_says_how_bad_it_is_and_leads_to_its_runbook() -> None:
    there = anchors(PAGE.read_text())
    assert len(there) == len(set(there))
    names = [rule["alert"] for rule in rules()]
    assert len(names) == len(set(names))
    for rule in rules():
        assert rule["labels"]["severity"] in ("critical", "warning"), rule["alert"]
        assert rule["annotations"]["summary"]
        page, _, anchor = rule["annotations"]["runbook"].partition("#")
        assert ROOT / page == PAGE
        assert anchor in there, rule["alert"]
        assert f"`{rule['alert']}`" in chapter(anchor), f"{anchor} does not name {rule['alert']}"


def chapter(anchor: str) -> str:
    """Return the text below the heading that an anchor leads to."""
    chapters = re.split(r"^#+ ", PAGE.read_text(), flags=re.MULTILINE)
    return next(text for text in chapters if anchors(f"# {text}")[:1] == [anchor])


def test_every_runbook_says_what_is_seen_what_happens_by_itself_and_what_to_do() -> None:
    text = PAGE.read_text()
    faults = text.partition("\n## Faults\n")[2].partition("\n## ")[0]
    chapters = re.split(r"^### (.+)$", faults, flags=re.MULTILINE)[1:]
    assert len(chapters) >= 2 * 15
    for title, chapter in zip(chapters[::2], chapters[1::2], strict=True):
        for part in ("**Seen:**", "**By itself:**", "**Do:**"):
            assert chapter.count(part) == 1, f"{title}: {part}"


def test_every_command_the_page_names_exists() -> None:
    named = set(re.findall(r"`casekeeper ([a-z]+)", PAGE.read_text()))

    assert named
    assert named <= set(COMMANDS)


def test_the_targets_are_those_of_the_compose_file() -> None:
    config = yaml.safe_load(CONFIG.read_text())
    services = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
    jobs = {job["job_name"]: job["static_configs"][0]["targets"] for job in config["scrape_configs"]}

    port = services["api"]["environment"]["CASEKEEPER_PORT"]
    metrics = services["worker"]["environment"]["CASEKEEPER_METRICS"].rpartition(":")[2]
    assert jobs == {"casekeeper-api": [f"api:{port}"], "casekeeper-worker": [f"worker:{metrics}"]}
    assert {"api", "worker"} <= set(services)
    assert [(CONFIG.parent / name).is_file() for name in config["rule_files"]] == [True]
    assert "ports" not in services["worker"]


def test_the_board_has_one_datasource_variable_and_no_panel_twice() -> None:
    board = json.loads(BOARD.read_text())
    everything = board["panels"]

    assert [variable["name"] for variable in board["templating"]["list"]] == ["datasource"]
    assert len({panel["id"] for panel in everything}) == len(everything)
    squares = [(p["gridPos"]["x"], p["gridPos"]["y"]) for p in everything]
    assert len(set(squares)) == len(squares)
    for panel in panels():
        assert panel["datasource"]["uid"] == "${datasource}"
        assert panel["gridPos"]["x"] + panel["gridPos"]["w"] <= 24


@pytest.mark.skipif(shutil.which("promtool") is None, reason="needs promtool, of Debian's package prometheus")
def test_prometheus_own_tool_takes_the_files_and_the_alerts_fire_when_they_should() -> None:
    for arguments in (
        ["check", "rules", str(ALERTS)],
        ["check", "config", str(CONFIG)],
        ["test", "rules", str(ALERTS_TEST)],
    ):
        done = subprocess.run(["promtool", *arguments], capture_output=True, text=True, check=False, timeout=60)
        assert done.returncode == 0, done.stdout + done.stderr


def _masked(found: re.Match[str]) -> str:
    return '"' + found[0][1:-1].encode().hex() + '"'


def _unmasked(masked: str) -> str:
    return bytes.fromhex(masked).decode()
