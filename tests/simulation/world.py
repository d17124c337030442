"""World: time, systems and gateway of one story, and what each step of it does."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import suppress
from copy import deepcopy
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from gateway.fhir.consolidate import Policy
from tests.simulation import values
from tests.simulation.gateway import LIMIT, Core, Gateway, Lost, System, moment
from tests.simulation.systems import Blind, Client, Edit, Five, Full, Lists, Papers, Refused, Resource

ROUNDS = 8
Step = tuple[Any, ...]


@dataclass(frozen=True)
class Setting:
    """What is fixed for a whole story: clocks that are wrong by up to `tolerance`, priorities, the systems' manners."""

    full_clock: int = 0
    other_clock: int = 0
    papers_clock: int = 0
    blind_clock: int = 0
    tolerance: int = 3
    priority: tuple[tuple[str, int], ...] = ()
    five_answers: bool = True
    five_patches: bool = True


@dataclass
class World:
    setting: Setting
    core: Core
    now: int = 100
    edits: list[Edit] = field(default_factory=list)
    workers: dict[str, Generator[str, None, None]] = field(default_factory=dict)
    reads: dict[str, tuple[Any, int, int]] = field(default_factory=dict)
    late: list[tuple[int, Callable[[], None]]] = field(default_factory=list)
    fault: dict[str, str] = field(default_factory=dict)
    hanging: list[tuple[str, str, int]] = field(default_factory=list)

    def __post_init__(self) -> None:
        setting = self.setting
        self.systems: dict[str, System] = {
            "full": Full("full", setting.full_clock),
            "other": Full("other", setting.other_clock),
            "five": Five("five", setting.five_answers, setting.five_patches),
            "lists": Lists("lists"),
            "blind": Blind("blind", setting.blind_clock),
        }
        self.papers = Papers("papers", setting.papers_clock)
        self.clients = {"client": Client("client"), "stater": Client("stater")}
        policy = Policy(dict(setting.priority), tolerance=timedelta(seconds=setting.tolerance))
        self.gateway = Gateway(self.core, policy, lambda: self.now)

    def run(self, story: list[Step]) -> None:
        for name, *arguments in story:
            self.pass_time(1)
            getattr(self, f"do_{name}")(*arguments)

    def pass_time(self, ticks: int) -> None:
        self.now += ticks
        due = [one for one in self.late if one[0] <= self.now]
        self.late = [one for one in self.late if one[0] > self.now]
        for _, land in due:
            land()
            self.now += 1  # a system's clock tells its changes apart

    # The steps of a story

    def do_wait(self, ticks: int) -> None:
        self.pass_time(ticks)

    def do_edit(self, name: str, slot: str, number: int | None) -> None:
        system = self.papers if name == "papers" else self.systems[name]
        edit = system.type_in(slot, number, self.now)  # type: ignore[arg-type]
        edit.unsure = edit.unsure or (number is None and (name, edit.kind) in self._removals())
        if number is not None or edit.displaced:
            self.edits.append(edit)

    def _removals(self) -> set[tuple[str, str]]:
        """What unconfirmed sends were to remove: somebody who removes just that is taken for us."""
        return {(name, kind) for name, kind, until in self.hanging if until >= self.now}

    def do_begin(self, name: str, fault: str) -> None:
        self.fault[name] = fault
        self.workers[name] = self.gateway.sync(self.systems[name], self.send)
        self.do_step(name)

    def do_step(self, name: str) -> None:
        if name in self.workers and next(self.workers[name], None) is None:
            del self.workers[name]

    def do_kill(self, name: str) -> None:
        self.workers.pop(name, None)

    def do_sync(self, name: str, fault: str) -> None:
        self.do_begin(name, fault)
        while name in self.workers:
            self.pass_time(1)
            self.do_step(name)

    def do_read(self, name: str) -> None:
        """A webhook's hint, late or doubled: somebody reads now and applies what was read at some later step."""
        revision = self.gateway.revision.get(name, 0)
        self.reads[name] = (self.systems[name].read(), self.now, revision)

    def do_apply(self, name: str) -> None:
        if name in self.reads:
            heard, start, revision = self.reads.pop(name)
            self.gateway.hear(self.systems[name], heard, moment(start), revision)

    def do_document(self, position: int, keep: bool) -> None:
        if self.papers.outbox:
            position %= len(self.papers.outbox)
            body, at = self.papers.outbox[position] if keep else self.papers.outbox.pop(position)
            self.gateway.document("papers", body, at)

    def do_event(self, position: int, keep: bool) -> None:
        outbox = self.systems["blind"].outbox
        if outbox:
            position %= len(outbox)
            self.gateway.event("blind", *(outbox[position] if keep else outbox.pop(position)))

    def do_get(self) -> None:
        versions = self.gateway.versions["main"]
        if versions:
            self.clients["client"].base = (versions[-1].number, versions[-1].body)

    def do_put(self, slot: str, number: int | None, if_match: bool) -> None:
        client = self.clients["client"]
        base, body = client.base or (0, {"resourceType": "Patient"})
        if not base and self.gateway.versions["main"]:
            return
        edit, new = self._edited("client", body, slot, number)
        if edit and (answer := self.gateway.put("client", base, new, if_match=if_match)) is not None:
            client.base = (len(self.gateway.versions["main"]), answer)
            self.edits.append(edit)

    def do_state(self, slot: str, number: int | None) -> None:
        client = self.clients["stater"]
        edit, new = self._edited("stater", client.stated, slot, number)
        if edit:
            client.stated = new
            self.gateway.state("stater", new)
            self.edits.append(edit)

    def do_restate(self) -> None:
        """The answer was lost: the same statement again."""
        self.gateway.state("stater", self.clients["stater"].stated)

    def do_unlink(self, name: str) -> None:
        self.workers.pop(name, None)
        if name in self.gateway.stored:
            self.gateway.unlink(name)

    # The network

    def send(self, system: System, written: dict[str, Any], number: Any) -> Resource | None:
        fault = self.fault.get(system.name, "")
        gone = {values.kind_of(slot) for slot, value in written.items() if value is None}
        self.hanging += [(system.name, kind, self.now + LIMIT) for kind in gone]
        for edit in system.edits:
            near = edit.time >= self.now - 2 * self.setting.tolerance and isinstance(system, Blind)
            edit.unsure = edit.unsure or (near and edit.number is None and edit.kind in gone)
        if fault == "before":
            raise Lost
        if fault == "late":
            self.late.append((self.now + LIMIT // 2, lambda: self._land(system, written, number)))
            raise Lost
        answer = system.write(written, number, self.now)
        if fault == "after":
            raise Lost
        return answer

    def _land(self, system: System, written: dict[str, Any], number: Any) -> None:
        with suppress(Refused):
            system.write(written, number, self.now)

    def _edited(self, name: str, body: Resource, slot: str, number: int | None) -> tuple[Edit | None, Resource]:
        new, kind = deepcopy(body), values.kind_of(slot)
        before = values.numbers(body).get(kind, set())
        values.put(new, slot, None if number is None else values.typed(slot, number))
        gone = frozenset(before - values.numbers(new).get(kind, set()))
        if number is None and not gone:
            return None, new
        return Edit(name, kind, number, self.now, gone), new

    # Quiet

    def quiet(self) -> int:
        """No more edits and no more faults; the number of rounds until nobody was sent anything."""
        self.workers.clear()
        self.reads.clear()
        self.pass_time(LIMIT + 1)
        while self.papers.outbox:
            self.do_document(0, keep=False)
        while self.systems["blind"].outbox:
            self.do_event(0, keep=False)
        for rounds in range(1, ROUNDS + 1):
            before = self.gateway.progress()
            for name in self.systems:
                self.pass_time(1)
                self.do_sync(name, "")
                while self.systems["blind"].outbox:
                    self.do_event(0, keep=False)
            if self.gateway.progress() == before:
                return rounds
        return ROUNDS + 1
