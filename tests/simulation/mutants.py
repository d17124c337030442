"""Mutants: the gateway's core with one rule left out, each of which some story has to notice."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Any

from gateway.fhir import consolidate, deliver, form, observe
from gateway.fhir.consolidate import Consolidated, Policy
from gateway.fhir.json import Resource
from gateway.fhir.record import Coverage, Record
from gateway.fhir.spelling import same
from tests.simulation.gateway import FIVE_FORM, FULL_FORM, LISTS_FORM, Core


def _own_lost_on_adoption(record: Record, answered: Any, due: Any, stamps: Any, form: Any, **times: Any) -> Record:
    accepted = deliver.accept(record, answered, due, stamps, form, **times)
    return replace(accepted, own={slot: own for slot, own in accepted.own.items() if slot not in due})


def _answer_is_an_assertion(record: Record, answered: Any, due: Any, stamps: Any, form: Any, at: datetime) -> Record:
    if answered is None:
        return deliver.accept(record, answered, due, stamps, form, at=at)
    return observe.observe(replace(record, intents=()), answered, form.reads, None, at, now=at, form=form)


def _no_intent(record: Record, due: Any, stamps: Any, **times: Any) -> Record:
    return replace(record, intents=())


def _intent_of_due_only(record: Record, due: Any, stamps: Any, **times: Any) -> Record:
    return deliver.intend(record, due, stamps, **{**times, "carried": {}})


def _intents_end_with_any_read(*given: Any, **named: Any) -> Record:
    return replace(observe.observe_versions(*given, **named), intents=())


def _last_version_only(record: Record, versions: Any, *given: Any, **named: Any) -> Record:
    return observe.observe_versions(record, versions[-1:], *given, **named)


def _time_as_given(record: Record, versions: Any, coverage: Any, read_start: Any, **named: Any) -> Record:
    """The source's clock is believed, even where it says that a change came before what it changed."""
    heard = observe.observe_versions(record, versions, coverage, read_start, **named)
    at = versions[-1][1]
    fresh = {slot: own for slot, own in heard.own.items() if own is not record.own.get(slot) and at}
    return replace(heard, own={**heard.own, **{slot: replace(own, at=at) for slot, own in fresh.items()}})


def _by_arrival(record: Record, body: Resource, coverage: Any, at: Any, *given: Any, **named: Any) -> Record:
    return observe.observe(record, body, coverage, at, *given, **{**named, "dated": False})


def _any_read(record: Record, versions: Any, coverage: Any, read_start: datetime, **named: Any) -> Record:
    known = replace(record, read_at=record.read_at and min(record.read_at, read_start))
    return observe.observe_versions(known, versions, coverage, read_start, **named)


def _base_ignored(record: Record, base: Resource, body: Resource, **named: Any) -> Record:
    """The whole body is asserted, old values of others included."""
    return observe.edit(record, {"resourceType": "Patient"}, body, **named)


def _absence_of_others_counts(record: Record, body: Resource, coverage: Any, *, at: datetime) -> Record:
    shown = {slot: one.value for slot, one in record.shown.items() if one.value is not None}
    known = replace(
        record, own={**{s: observe.assertion(None, None, v, None, at) for s, v in shown.items()}, **record.own}
    )
    return observe.state(known, body, coverage, at=at)


def _sent_ignored(record: Record, rendered: Any) -> dict[str, Any]:
    shown = {slot: one.value for slot, one in record.shown.items()}
    return {slot: value for slot, value in rendered.items() if not same(slot, value, shown.get(slot))}


def _no_removals(resource: Resource, form_: Any, record: Record) -> dict[str, Any]:
    return {slot: value for slot, value in form.render(resource, form_, record).items() if value is not None}


def _conflicts_unlisted(records: Any, policy: Policy) -> Consolidated:
    return replace(consolidate.consolidate(records, policy), conflicts=())


def _bases_ignored(records: Any, policy: Policy) -> Consolidated:
    """Only conflicts with what is later than the winner itself are listed."""
    found = consolidate.consolidate(records, policy)
    kept = [one for one in found.conflicts if (one.at or policy_start) > (found.stamps[one.slot] or policy_start)]
    return replace(found, conflicts=tuple(kept))


policy_start = datetime.fromisoformat("2026-01-01T00:00:00+00:00")


def _shown_counts(records: Any, policy: Policy) -> Consolidated:
    """What a system displays is taken for what it says."""
    said = []
    for record in records:
        told = {
            s: observe.assertion(None, None, o.value, o.stamp, policy_start)
            for s, o in record.shown.items()
            if o.adopted
        }
        said.append(replace(record, own={**record.own, **told}))
    return consolidate.consolidate(said, policy)


def _unbound(record: Record, slots: Any, form_: Any) -> Record:
    return replace(form.bind(record, slots, form_), bound={})


MUTANTS: dict[str, Core] = {
    "own layer lost on adoption": Core(accept=_own_lost_on_adoption),
    "the answer is taken for an assertion": Core(accept=_answer_is_an_assertion),
    "no intent": Core(intend=_no_intent),
    "the intent names only what was due": Core(intend=_intent_of_due_only),
    "intents end with any read": Core(observe_versions=_intents_end_with_any_read),
    "only the last version is observed": Core(observe_versions=_last_version_only),
    "the source's clock is believed": Core(observe_versions=_time_as_given),
    "documents count in order of arrival": Core(observe=_by_arrival),
    "the base of a PUT is ignored": Core(edit=_base_ignored),
    "a statement removes what others said": Core(state=_absence_of_others_counts),
    "what was sent is ignored": Core(diff=_sent_ignored),
    "removals are not sent": Core(render=_no_removals),
    "conflicts are not listed": Core(consolidate=_conflicts_unlisted),
    "conflicts go by time only": Core(consolidate=_bases_ignored),
    "what is displayed counts as said": Core(consolidate=_shown_counts),
    "fields are not bound": Core(bind=_unbound),
    "absence in a document counts": Core(papers=Coverage()),
    "absence in a full model counts for nothing": Core(full=replace(FULL_FORM, reads=Coverage(absence=False))),
    "rewriting is not declared": Core(five=replace(FIVE_FORM, rewriting=())),
    "a list is sent without what is not due": Core(lists=replace(LISTS_FORM, partial=True)),
    "old reads are applied": Core(unchanged=lambda now, then: True, observe_versions=_any_read),
}
