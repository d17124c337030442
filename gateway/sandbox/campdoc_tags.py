"""Tags and answers of CampDoc's stand-in: group tags, the tags of a profile, questions and what was answered."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Any

from gateway.sandbox.campdoc_camp import CampError, Row, instant, invalid, missing


@dataclass
class Tags:
    """One kind of tag; `owner` = the column that says whose it is."""

    owner: str
    writable: tuple[str, ...]
    required: tuple[str, ...]
    rows: dict[int, Row] = field(default_factory=dict)
    numbers: Iterator[int] = field(default_factory=lambda: itertools.count(54_321))

    def of(self, owner: int) -> list[Row]:
        return [row for row in self.rows.values() if row[self.owner] == owner]

    def get(self, owner: int, asked: str) -> Row:
        row = self.rows.get(int(asked) if asked.isdigit() else -1)
        if row is None or row[self.owner] != owner:
            raise missing("tag")
        return row

    def add(self, owner: int, asked: Any) -> tuple[list[Row], list[Any]]:
        """One or many; those that cannot be taken are listed beside those that were."""
        made: list[Row] = []
        failed: list[Any] = []
        for one in asked if isinstance(asked, list) else [asked]:
            try:
                made.append(self._add(owner, one))
            except CampError:
                failed.append(one)
        return made, failed

    def update(self, row: Row, asked: Mapping[str, Any]) -> Row:
        if asked.get("deactivated") is not None:
            raise invalid("deactivated can only be set to null")
        allowed = (*self.writable, "deactivated")
        row.update({name: asked[name] for name in allowed if name in asked} | {"updated": instant(datetime.now(UTC))})
        return row

    def deactivate(self, row: Row) -> Row:
        now = instant(datetime.now(UTC))
        row.update(deactivated=now, updated=now)
        return row

    def _add(self, owner: int, asked: Any) -> Row:
        if not isinstance(asked, dict) or any(asked.get(name) is None for name in self.required):
            raise invalid(f"{', '.join(self.required)} required")
        number, now = next(self.numbers), instant(datetime.now(UTC))
        said = {name: asked.get(name) for name in self.writable}
        self.rows[number] = {"id": number, self.owner: owner, **said, "created": now, "updated": now}
        self.rows[number]["deactivated"] = None
        return self.rows[number]


def group_tags() -> Tags:
    return Tags("groupID", ("parentID", "value"), ("value",))


def profile_tags() -> Tags:
    return Tags("profileID", ("tagID", "optionID", "value"), ("tagID",))


@dataclass
class Questions:
    """The health form: questions, and who answered what when (`created`, `updated` without a zone)."""

    rows: dict[int, str] = field(default_factory=lambda: {701: "Swims alone", 702: "Carries an inhaler"})
    answers: list[Row] = field(default_factory=list)

    def listed(self) -> list[Row]:
        return [{"id": number, "label": label} for number, label in self.rows.items()]

    def answers_to(self, asked: str, since: str | None) -> list[Row]:
        number = int(asked) if asked.isdigit() else -1
        if number not in self.rows:
            raise missing("question")
        day = _day(since) if since is not None else None
        found = (row for row in self.answers if row["questionID"] == number)
        return [row for row in found if day is None or row["updated"][:10] >= day]


def _day(text: str) -> str:
    try:
        return date.fromisoformat(text).isoformat()
    except ValueError:
        raise invalid("updated must be YYYY-MM-DD") from None
