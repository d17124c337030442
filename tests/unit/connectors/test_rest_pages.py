"""Where the next look through a mapped system starts: nothing that changes during one may fall between two."""

from __future__ import annotations

from typing import Any

from gateway.connectors import rest
from gateway.connectors.call import Call, Page, Reply
from gateway.connectors.protocol import Side
from gateway.fhir import json

from .test_hostile import play

LIST = {"since": "changedSince", "size": "max", "limit": 2, "page": "page"}
MAPPING = {"Patient": {"path": "/people", "at": "changed", "list": LIST, "fields": {"name.text": "name"}}}
SIDE = Side("https://gateway.example/fhir", "https://ehr.example", name="ehr", mapping=MAPPING)
BEGAN = "Fri, 02 Jan 2026 10:00:00 GMT"


def row(number: int, changed: str) -> dict[str, Any]:
    return {"id": f"p{number}", "name": f"Name {number}", "changed": changed}


def page(cursor: str | None, rows: list[dict[str, Any]], date: str | None) -> Page:
    found = play(rest.scan(cursor, SIDE), [Reply(200, {"date": date} if date else {}, json.encode(rows))])
    assert isinstance(found, Page)
    return found


def asked(cursor: str | None) -> str | None:
    """What the next look asks for."""
    call = next(rest.scan(cursor, SIDE))
    assert isinstance(call, Call)
    return dict(call.params).get("changedSince")


def looked(*changed: str, date: str | None = BEGAN) -> str | None:
    """A look of two pages, the second of them minutes later: since when the next one asks."""
    first = page(None, [row(1, "2026-01-01T08:00:00Z"), row(2, "2026-01-01T09:00:00Z")], date)
    assert first.more
    last = page(first.cursor, [row(3, one) for one in changed], "Fri, 02 Jan 2026 10:05:00 GMT" if date else None)
    assert not last.more
    return asked(last.cursor)


def test_the_next_look_starts_with_the_newest_that_was_met() -> None:
    assert looked("2026-01-01T07:00:00Z") == "2026-01-01T09:00:00Z"


def test_what_changed_during_the_look_hides_nothing_that_changed_before_it() -> None:
    """A list in another order than that of change: the first page may have changed once it was read."""
    assert looked("2026-01-02T10:04:00Z") == "2026-01-02T09:59:30.000000Z"


def test_a_change_that_is_listed_some_seconds_late_is_not_passed_over() -> None:
    assert looked("2026-01-02T10:00:00Z") == "2026-01-02T09:59:30.000000Z"


def test_where_they_tell_no_time_the_newest_that_was_met_counts() -> None:
    assert looked("2026-01-02T10:04:00Z", date=None) == "2026-01-02T10:04:00Z"


def test_a_look_that_meets_nothing_new_starts_no_later() -> None:
    first = page(None, [row(1, "2026-01-01T08:00:00Z")], BEGAN)
    nothing = page(first.cursor, [], "Sat, 03 Jan 2026 10:00:00 GMT")
    assert asked(first.cursor) == asked(nothing.cursor) == "2026-01-01T08:00:00Z"
