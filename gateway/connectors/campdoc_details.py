"""What CampDoc tells profile by profile only: its users and the reviews of its health form."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Generator, Iterator, Mapping
from typing import Any

from gateway.connectors.call import Call, Found, Page, Reply, Scan
from gateway.connectors.campdoc_wire import plain_rows, rows
from gateway.connectors.protocol import Side
from gateway.translators.json import campdoc as model

PER_PAGE = 10
"""Profiles of a page: two calls each, within the time that one look may take."""


def scan(after: int, side: Side) -> Scan:
    """The next profiles by their id; the last page has no cursor, so that the next look starts anew."""
    listed = yield from rows(side, "/profiles", "profiles")
    ids = sorted(number for profile in listed if isinstance(number := profile["id"], int) and number > after)
    found: list[Found] = []
    for number in ids[:PER_PAGE]:
        for name in side.options.include:
            found += yield from _told(side, str(number), name)
    if len(ids) > PER_PAGE:
        return Page(tuple(found), str(ids[PER_PAGE - 1]), more=True)
    return Page(tuple(found))


def _told(side: Side, profile_id: str, name: str) -> Generator[Call, Reply, list[Found]]:
    told = yield from plain_rows(side, f"/profiles/{profile_id}/{name}", name)
    return list(_KINDS[name](told, profile_id))


def _users(told: list[dict[str, Any]], profile_id: str) -> Iterator[Found]:
    """They have no id but their address, which is not to be read off one."""
    for user in told:
        if isinstance(email := user.get("email"), str):
            key = hashlib.sha256(email.strip().lower().encode()).hexdigest()[:32]
            yield Found("RelatedPerson", f"{profile_id}.{key}", model.from_user(user, profile_id))


def _reviews(told: list[dict[str, Any]], profile_id: str) -> Iterator[Found]:
    """There is one of each label."""
    for review in told:
        if isinstance(label := review.get("label"), str):
            at, issues = model.to_instant(review.get("timestamp")), model.left_out_of_review(review)
            body = model.from_review(review, profile_id)
            yield Found("Observation", f"{profile_id}.{label}", body, at=at, issues=issues)


_KINDS: Mapping[str, Callable[[list[dict[str, Any]], str], Iterator[Found]]] = {"users": _users, "reviews": _reviews}
