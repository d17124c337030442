"""A small gateway in memory around the real functions: records, links and versions survive, workers do not."""

from __future__ import annotations

import operator
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from gateway.fhir import consolidate as summing
from gateway.fhir import deliver, form, record
from gateway.fhir import observe as hearing
from gateway.fhir.consolidate import Consolidated, Policy
from gateway.fhir.form import ONE_NAME, ONE_PHONE, Form
from gateway.fhir.record import Coverage, Record
from tests.simulation.systems import Blind, Five, Full, Lists, Refused, Resource

System = Full | Five | Lists | Blind

EPOCH = datetime(2026, 1, 1, tzinfo=UTC)
LIMIT = 30
"""Ticks after which a send has ended one way or the other."""

FULL_FORM = Form()
FIVE_FORM = Form(
    reads=Coverage(frozenset({"name", "birthDate", "telecom[phone]", "telecom[email]"})),
    writes=frozenset({"name", "birthDate", "telecom"}),
    fields=(ONE_NAME, ONE_PHONE),
    parts={"name": frozenset({"family", "given"})},
    rewriting=("upper", "unaccented", "digits", "first-given"),
)
LISTED = frozenset({"name", "telecom", "birthDate", "address"})
LISTS_FORM = Form(reads=Coverage(LISTED), writes=LISTED)
BLIND_FORM = Form(reads=Coverage(frozenset()))
PAPER_COVERAGE = Coverage(frozenset({"name", "birthDate", "telecom", "address"}), absence=False)


@dataclass(frozen=True)
class Core:
    """The functions under test; a mutant replaces one of them."""

    observe: Callable[..., Record] = hearing.observe
    observe_versions: Callable[..., Record] = hearing.observe_versions
    edit: Callable[..., Record] = hearing.edit
    state: Callable[..., Record] = hearing.state
    show: Callable[..., Record] = hearing.show
    consolidate: Callable[..., Consolidated] = summing.consolidate
    render: Callable[..., dict[str, Any]] = form.render
    bind: Callable[..., Record] = form.bind
    diff: Callable[..., dict[str, Any]] = deliver.diff
    intend: Callable[..., Record] = deliver.intend
    accept: Callable[..., Record] = deliver.accept
    void: Callable[..., Record] = deliver.void
    unchanged: Callable[[int, int], bool] = operator.eq
    full: Form = FULL_FORM
    five: Form = FIVE_FORM
    lists: Form = LISTS_FORM
    papers: Coverage = PAPER_COVERAGE


class Lost(Exception):
    """No answer came: it may or may not have taken effect."""


@dataclass
class Version:
    number: int
    body: Resource
    at: datetime


def moment(tick: int, name: str = "") -> datetime:
    """A tick as time; two systems' clocks never show the very same microsecond."""
    return EPOCH + timedelta(seconds=tick, microseconds=sum(map(ord, name)))


@dataclass
class Gateway:
    core: Core
    policy: Policy
    clock: Callable[[], int]
    stored: dict[str, bytes] = field(default_factory=dict)
    revision: dict[str, int] = field(default_factory=dict)
    group: dict[str, str] = field(default_factory=dict)
    versions: dict[str, list[Version]] = field(default_factory=lambda: {"main": []})
    sends: int = 0

    @property
    def now(self) -> datetime:
        return moment(self.clock())

    def load(self, name: str) -> Record:
        """Every step starts from stored bytes: what a killed worker had in memory is gone."""
        return record.load(name, "Patient", name, self.stored.get(name, b""))

    def save(self, name: str, changed: Record) -> None:
        dumped = record.dump(changed)
        if dumped != self.stored.get(name):
            self.stored[name] = dumped
            self.revision[name] = self.revision.get(name, 0) + 1
        self.settle(self.group_of(name))

    def group_of(self, name: str) -> str:
        return self.group.setdefault(name, "main")

    def members(self, group: str) -> list[str]:
        return [name for name in self.stored if self.group_of(name) == group]

    def consolidated(self, group: str) -> Consolidated:
        return self.core.consolidate([self.load(name) for name in self.members(group)], self.policy)

    def settle(self, group: str) -> None:
        versions = self.versions.setdefault(group, [])
        found = self.consolidated(group)
        old = versions[-1].body if versions else None
        if summing.changed(old, found):
            body = found.resource or {"resourceType": "Patient"}
            versions.append(Version(len(versions) + 1, body, self.now))

    def progress(self) -> tuple[int, int]:
        """Grows as long as anything is sent or learned."""
        return self.sends, sum(map(len, self.versions.values()))

    def unlink(self, name: str) -> None:
        self.group[name] = name
        self.settle("main")
        self.settle(name)

    # What comes in

    def hear(self, system: Full | Five | Lists, heard: Any, start: datetime, revision: int) -> bool:
        """Apply a read, unless the record changed since it began: then it has to be read again."""
        versions, number = heard
        if not self.core.unchanged(self.revision.get(system.name, 0), revision):
            return False
        form = self.form(system)
        told = [(body, None if at is None else moment(at, system.name)) for body, at in versions] or [
            ({"resourceType": "Patient"}, None)
        ]
        known = self.load(system.name)
        self.save(system.name, self.core.observe_versions(known, told, form.reads, start, now=self.now, form=form))
        system.was_read(number)
        return True

    def document(self, name: str, body: Resource, at: int) -> None:
        observed = self.core.observe(
            self.load(name),
            body,
            self.core.papers,
            moment(at, name),
            self.now,
            now=self.now,
            dated=True,
            tolerance=self.policy.tolerance,
        )
        self.save(name, observed)

    def event(self, name: str, told: Resource, slot: str, at: int) -> None:
        coverage = Coverage(frozenset({slot}))
        known = self.load(name)
        heard = self.core.observe(
            known,
            told,
            coverage,
            moment(at, name),
            self.now,
            now=self.now,
            dated=True,
            tolerance=self.policy.tolerance,
            form=BLIND_FORM,
        )
        self.save(name, heard)

    def put(self, name: str, base: int, body: Resource, *, if_match: bool) -> Resource | None:
        """A FHIR client's PUT by id; None = 412."""
        versions = self.versions["main"]
        if if_match and base != len(versions):
            return None
        made_from = versions[base - 1] if base else Version(0, {"resourceType": "Patient"}, EPOCH)
        known = self.load(name)
        self.save(name, self.core.edit(known, made_from.body, body, at=self.now, base_stamp=made_from.at))
        return self.answer(name)

    def state(self, name: str, body: Resource) -> Resource:
        """A conditional PUT: the caller's own record."""
        self.save(name, self.core.state(self.load(name), body, Coverage(), at=self.now))
        return self.answer(name)

    def answer(self, name: str) -> Resource:
        group = self.group_of(name)
        found = self.consolidated(group)
        body = found.resource or {"resourceType": "Patient"}
        self.save(name, self.core.show(self.load(name), body, found.stamps))
        return body

    # What goes out

    def form(self, system: System) -> Form:
        if isinstance(system, Blind):
            return BLIND_FORM
        if isinstance(system, Lists):
            return self.core.lists
        return self.core.full if isinstance(system, Full) else self.core.five

    def due(self, system: System) -> tuple[dict[str, Any], Consolidated]:
        found = self.consolidated(self.group_of(system.name))
        resource = found.resource or {"resourceType": "Patient"}
        known = self.load(system.name)
        bound = self.core.bind(known, found.slots, self.form(system))
        if bound != known:
            self.save(system.name, bound)
        return self.core.diff(bound, self.core.render(resource, self.form(system), bound)), found

    def sync(self, system: System, send: Callable[..., Resource | None]) -> Generator[str, None, None]:
        """One worker's way; it may be killed at every yield."""
        heard: Any = ((), 0)
        if not isinstance(system, Blind):
            revision, start, heard = self.revision.get(system.name, 0), self.now, system.read()
            yield "read"
            if not self.hear(system, heard, start, revision):
                return
            yield "heard"
        due, found = self.due(system)
        if not due:
            return
        carried = self._carried(system)
        until = self.now + timedelta(seconds=LIMIT)
        self.save(
            system.name,
            self.core.intend(self.load(system.name), due, found.stamps, sent_at=self.now, until=until, carried=carried),
        )
        yield "intended"
        yield from self._push(system, send, due, found, {**carried, **due}, heard[1])

    def _push(
        self,
        system: System,
        send: Callable[..., Resource | None],
        due: dict[str, Any],
        found: Consolidated,
        written: dict[str, Any],
        number: int,
    ) -> Generator[str, None, None]:
        self.sends += 1
        try:
            answered = send(system, written, number)
        except Refused:
            self.save(system.name, self.core.void(self.load(system.name)))
            return
        except Lost:
            return
        yield "sent"
        known = self.load(system.name)
        self.save(
            system.name,
            self.core.accept(known, answered, due, found.stamps, self.form(system), at=self.now),
        )
        if answered is not None:
            system.was_answered()
        if answered is not None or isinstance(system, Blind):
            return
        yield "accepted"
        start, heard, revision = self.now, system.read(), self.revision[system.name]
        yield "read back"
        self.hear(system, heard, start, revision)

    def _carried(self, system: System) -> dict[str, Any]:
        """What a write holds besides: a form that cannot leave anything out sends what was just read."""
        partial = system.patches if isinstance(system, Five) else self.form(system).partial
        if not isinstance(system, (Five, Lists)) or partial:
            return {}
        shown = self.load(system.name).shown
        return {slot: one.value for slot, one in shown.items() if one.value is not None}
