"""``casekeeper deadletters``: what an operator sees of what was set aside, and does about it."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, ClassVar
from uuid import UUID, uuid4

import pytest
from click.testing import CliRunner, Result
from hostile import MARK, NotUtf8, Stranger
from log_copy import LogCopy, record
from publishing import Publisher, answered, taking
from tally import Tally, tally, tallying
from test_dead_letters import log_of, views
from test_runner import publish

from application.examples import BODIES
from application.settings import Settings, variable
from cli import set_aside as cli_set_aside
from cli.main import cli
from consumers.topics import DEADLETTERS
from projections import parking, positions
from tests.waiting import until


class People(Tally):
    """The tally under the name of a view that operators can name."""

    name: ClassVar[str] = "people"


def run(settings: Settings, *arguments: str, answer: str | None = None) -> Result:
    environment = {variable(name): value for name, value in vars(settings).items() if value}
    runner = CliRunner()
    return runner.invoke(cli, ["deadletters", *arguments], env=environment, input=answer, catch_exceptions=False)


def said(done: Result) -> Any:
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


@pytest.fixture
def bad() -> UUID:
    return uuid4()


@pytest.fixture
def set_aside(log_copy: LogCopy, bad: UUID) -> LogCopy:
    """A copy whose view has set a stream of three records aside, the first of which does not fit."""
    sealed = {"text": {"subject_id": str(bad), "category": "correspondence", "scope_id": str(uuid4()), "value": MARK}}
    first = record(stream_id=bad, data={"unfit": True, MARK: MARK, "notice_version": MARK})
    log_of(
        log_copy,
        first.__class__(
            **{**vars(first), "record": json.dumps({**json.loads(first.record), "sealed": sealed}).encode()}
        ),
        record(stream_id=bad, version=2, data={"notice_version": "1", "language": MARK}),
        record(),
        record(stream_id=bad, version=3),
    )
    with tallying(log_copy, People()):
        until(lambda: tally(log_copy) and views(log_copy, positions.positions)["people"] == 4)
    return log_copy


class TestList:
    """What is set aside, and never what it says."""

    def test_parked_streams_with_their_cause(self, set_aside: LogCopy, bad: UUID) -> None:
        done = run(set_aside.settings, "list", "--json")
        found = said(done)

        [stream] = found["parked"]
        assert (stream["view"], stream["stream_id"], stream["first_position"]) == ("people", str(bad), 1)
        assert (stream["records"], stream["reason"], stream["released"]) == (3, "KeyError", False)
        assert stream["place"].startswith("consumers/tally.py:")
        assert stream["parked_at"].startswith("20")
        assert found["inbox"] == {"items": [], "older": 0, "foreign": 0}
        assert found["discarded"] == []
        assert MARK not in done.output

    def test_of_one_view(self, set_aside: LogCopy) -> None:
        assert said(run(set_aside.settings, "list", "--view", "worklist", "--json")) == {"parked": [], "discarded": []}
        assert run(set_aside.settings, "list", "--view", "worklist").output == "nothing is set aside\n"
        line = run(set_aside.settings, "list", "--view", "people").output
        assert line.startswith("parked     people")
        assert "KeyError at consumers/tally.py:" in line

    def test_nothing_before_there_are_views(self, settings: Settings) -> None:
        assert run(settings, "list").output == "nothing is set aside\n"

    def test_without_kafka_the_views_can_still_be_asked(self, set_aside: LogCopy) -> None:
        away = Settings(**{**vars(set_aside.settings), "kafka": "127.0.0.1:9"})

        assert len(said(run(away, "list", "--view", "people", "--json"))["parked"]) == 1


class TestInbox:
    """The dead letters of the inbox, on a topic to which strangers write as well."""

    def test_its_dead_letters_are_listed_without_their_contents(
        self, service, settings: Settings, publisher: Publisher, answers
    ) -> None:
        publisher.put(MARK.encode(), MARK)
        publisher.put(publisher.encrypt(publisher.sign(MARK.encode())).encode(), MARK)
        last = publisher.send("register_subject", BODIES["register_subject"])
        with taking(service, settings):
            answered(answers, last)
            until(lambda: len(answers.dead_letters()) == 2)
        stranger = Stranger(settings)
        for headers in FORGED:
            stranger.put(DEADLETTERS, MARK.encode(), MARK.encode(), headers)
        stranger.put(DEADLETTERS, None, MARK.encode())
        stranger.close()
        done = run(settings, "list", "--json")
        found = said(done)["inbox"]
        shown = run(settings, "show", "inbox", str(found["items"][0]["number"]))

        assert {(letter["error"], letter["size"] is None) for letter in found["items"]} == {
            ("NotAuthenticated", True),
            ("InvalidInput", False),
        }
        assert {letter["source"].rpartition("/")[0].rpartition("/")[0] for letter in found["items"]} == {
            settings.topic("cases.inbox.v1")
        }
        assert (found["older"], found["foreign"]) == (0, len(FORGED) + 1)
        assert said(run(settings, "list", "--json", "--limit", "1"))["inbox"]["older"] == 1
        assert found["items"][0]["source"] in shown.output
        assert MARK.lower() not in (done.output + shown.output + run(settings, "list").output).lower()

    def test_one_that_is_not_there(self, settings: Settings) -> None:
        with pytest.raises(Exception, match="no such dead letter of the inbox"):
            run(settings, "show", "inbox", "12")
        assert run(settings, "show", "inbox", "x").exit_code == 2


SOURCE = b"cases.inbox.v1/0/1"
FORGED = [
    [],
    [("ck-source", SOURCE)],
    [("ck-source", MARK.encode()), ("ck-error", b"InvalidInput"), ("ck-where", b"consumers/jose.py:1")],
    [("ck-source", b"\xff\xfe"), ("ck-error", b"InvalidInput"), ("ck-where", b"consumers/jose.py:1")],
    [("ck-source", SOURCE), ("ck-source", SOURCE), ("ck-error", b"InvalidInput"), ("ck-where", b"unknown")],
    [("ck-source", SOURCE), ("ck-error", b"InvalidInput"), ("ck-where", f"{MARK} at home".encode())],
    [(NotUtf8("ck-source"), SOURCE), ("ck-error", MARK.encode()), ("ck-where", b"unknown")],
]


class TestShow:
    """A record's clear fields, where they are what they should be; nothing else of it."""

    def test_clear_fields_are_shown_and_sealed_ones_named(self, set_aside: LogCopy, bad: UUID) -> None:
        done = run(set_aside.settings, "show", "people", str(bad), "--json")
        first, second, third = said(done)["records"]

        assert (first["position"], first["reason"], first["type"]) == (1, "KeyError", "NoticeServed")
        assert (second["reason"], third["position"]) == (parking.FOLLOWS, 4)
        assert (first["stream_id"], first["stream_version"], third["stream_version"]) == (str(bad), 1, 3)
        assert (first["actor.role"], first["producer"], first["purpose"]) == ("service", "api", "intake")
        assert first["data.notice_version"] == "(withheld: not of its kind)"
        assert second["data.notice_version"] == "1"
        assert first["undeclared"] == 3
        assert MARK not in done.output + run(set_aside.settings, "show", "people", str(bad)).output

    def test_a_stream_that_is_not_set_aside(self, set_aside: LogCopy) -> None:
        with pytest.raises(Exception, match="no such stream set aside in people"):
            run(set_aside.settings, "show", "people", str(uuid4()))
        assert run(set_aside.settings, "show", "people", "x").exit_code == 2


class TestRelease:
    """Put back in order, and what became of it is told."""

    def test_once_mended_it_is_taken_in_in_order(self, set_aside: LogCopy, bad: UUID) -> None:
        mended = People()
        mended.strict = False
        with tallying(set_aside, mended):
            done = run(set_aside.settings, "release", "people", str(bad), "--json")

        assert said(done)["items"][0]["became"] == "taken in"
        assert tally(set_aside) == [3, 1, 2, 4]
        assert said(run(set_aside.settings, "list", "--view", "people", "--json"))["parked"] == []

    def test_where_it_still_does_not_fit_the_place_is_told(self, set_aside: LogCopy) -> None:
        with tallying(set_aside, People()):
            done = run(set_aside.settings, "release", "people", "--all")

        assert done.exit_code == 1
        assert "does not fit: stopped at position 1, KeyError at consumers/tally.py:" in done.output
        assert tally(set_aside) == [3]

    def test_what_is_taken_in_while_one_looks_is_not_called_unfit(
        self, set_aside: LogCopy, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def taken_in_after(look: Callable[..., Any]) -> Callable[..., Any]:
            def looked(*given: Any) -> Any:
                found = look(*given)
                views(set_aside, lambda cursor: cursor.execute("DELETE FROM parked_records"))
                return found

            return looked

        [stream] = views(set_aside, parking.all_parked)
        for name in ("records_of", "all_parked"):
            monkeypatch.setattr(parking, name, taken_in_after(getattr(parking, name)))

        [release] = cli_set_aside.release(set_aside.settings.views_dsn, [stream], 5.0)

        assert release.became == "taken in"

    def test_without_a_worker_it_waits(self, set_aside: LogCopy, bad: UUID) -> None:
        done = run(set_aside.settings, "release", "people", str(bad), "--wait", "0.5")

        assert done.exit_code == 1
        assert "waits until a worker runs the view" in done.output
        assert said(run(set_aside.settings, "list", "--view", "people", "--json"))["parked"][0]["released"]

    def test_it_must_be_said_which(self, set_aside: LogCopy) -> None:
        assert run(set_aside.settings, "release", "people").exit_code == 2
        with pytest.raises(Exception, match="no such stream"):
            run(set_aside.settings, "release", "people", str(uuid4()))


class TestDiscard:
    """Only with a reason and a yes; who did it stays on record."""

    def test_it_goes_on_without_the_stream_and_says_who_decided(self, set_aside: LogCopy, bad: UUID) -> None:
        done = run(set_aside.settings, "discard", "people", str(bad), "--reason", "OPS-7", "--yes")
        found = said(run(set_aside.settings, "list", "--json"))
        set_aside.append_together(record(stream_id=bad, version=4), record())
        publish(set_aside, range(5, 7))
        with tallying(set_aside, People()):
            until(lambda: views(set_aside, positions.positions)["people"] == 6)

        assert done.exit_code == 0
        assert found["parked"] == []
        [gone] = found["discarded"]
        assert (gone["stream_id"], gone["records"], gone["ticket"]) == (str(bad), 3, "OPS-7")
        assert gone["discarded_by"].startswith("uid ")
        [line] = [json.loads(line) for line in done.stderr.splitlines()]
        assert (line["event"], line["view"], line["stream_id"]) == ("stream discarded", "people", str(bad))
        assert (line["code"], line["name"], line["count"]) == ("OPS-7", gone["discarded_by"].replace(" ", ":"), 3)
        assert tally(set_aside) == [3, 6]

    @pytest.mark.parametrize(
        ("options", "answer", "status"),
        [
            (["--dry-run", "--reason", "OPS-7"], None, 0),
            (["--reason", "OPS-7"], "n\n", 1),
            (["--reason", "OPS-7"], "", 1),
            (["--yes"], None, 2),
            (["--yes", "--reason", "Maria's own wish"], None, 2),
        ],
        ids=["dry run", "no", "nobody to ask", "no reason", "a reason in words"],
    )
    def test_nothing_is_done_unless_it_is_meant(
        self, set_aside: LogCopy, bad: UUID, options: list[str], answer: str | None, status: int
    ) -> None:
        done = run(set_aside.settings, "discard", "people", str(bad), *options, answer=answer)

        assert done.exit_code == status
        assert "Maria" not in done.output
        assert len(said(run(set_aside.settings, "list", "--view", "people", "--json"))["parked"]) == 1


def test_the_views_being_away_is_told_without_the_drivers_text(settings: Settings) -> None:
    away = Settings(**{**vars(settings), "views_dsn": "host=127.0.0.1 port=9 dbname=x password=hidden"})
    with pytest.raises(Exception, match="the views cannot be used") as error:
        run(away, "list", "--view", "people")
    assert "hidden" not in str(error.value)
