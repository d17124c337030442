"""Link-up: every reference of a message made to point at what was resolved (FHIR R4 §3.1.0.11.2, §2.36.4.1)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence

from gateway.errors import InvalidInput, NotConformant
from gateway.fhir import condition as conditions
from gateway.fhir import elements, references, search
from gateway.fhir.condition import Condition
from gateway.fhir.issue import Issue
from gateway.fhir.json import Resource
from gateway.fhir.references import Ref
from gateway.planning.resolve import Meant, check_reference, look_up
from gateway.planning.world import World


class LinkUp:
    """Rewrites the references of all items at once. Identifier-only, contained and foreign absolute ones stay."""

    def __init__(self, world: World, meant: Sequence[Meant]) -> None:
        self._world = world
        self._base = world.directory.ours
        self._meant = meant
        find = _with_attachments if any(one.item.type == "Binary" for one in meant) else references.collect
        self._refs = [find(_open_part(one.item.resource)) if one.item.resource else () for one in meant]
        named = ((at, one.item.full_url, one.item.names) for at, one in enumerate(meant) if one.item.resource)
        self._targets = references.targets(named, self._base)
        self._found: dict[str, str] = {}
        self._inner: dict[tuple[str, str | None], str | None] = {}
        self._patients: dict[str, int] = {
            one.state.location: one.state.rid for one in meant if one.state and one.state.type == "Patient"
        }

    def run(self) -> list[Resource | None]:
        """The resources of the items, rewritten, in their order. Raises InvalidInput for references to nothing,
        NotConformant for those to what may not stand there."""
        mappings = [self._inside(at) for at in range(len(self._meant))]
        others = [
            ref for refs, mapping in zip(self._refs, mappings, strict=True) for ref in refs if ref.value not in mapping
        ]
        if others:
            self._look_up(others)
            self._look_up_conditions()
        issues = (
            [issue for at, mapping in enumerate(mappings) for issue in self._dangling(at, mapping)] if others else ()
        )
        if issues:
            raise InvalidInput(issues[0].diagnostics, expression=issues[0].expression, issues=issues)
        if wrong := [issue for at, mapping in enumerate(mappings) for issue in self._misdirected(at, mapping)]:
            raise NotConformant(wrong[0].diagnostics, expression=wrong[0].expression, issues=wrong)
        return [self._rewritten(at, mapping) for at, mapping in enumerate(mappings)]

    def patients_of(self, resource: Resource) -> list[int]:
        """The rids of the patients whose compartment a rewritten resource is in, the first of them first."""
        named = dict.fromkeys(references.compartments(resource))
        return [self._patients[location] for location in named if location in self._patients]

    def _inside(self, at: int) -> dict[str, str]:
        """What the references of one item mean within the message."""
        mapping: dict[str, str] = {}
        for ref in self._refs[at]:
            if ref.kind in _NAMING:
                location = self._location(ref, self._meant[at].item.full_url if ref.kind == "relative" else None)
                if location is not None:
                    mapping[ref.value] = location
        return mapping

    def _location(self, ref: Ref, full_url: str | None) -> str | None:
        """The item that a reference names; most of a message name the same few."""
        asked = ref.value, full_url
        if asked not in self._inner:
            target = self._targets.find(ref, full_url)
            state = self._meant[target].state if target is not None else None
            self._inner[asked] = self._told(ref, state.location) if state is not None else None
        return self._inner[asked]

    def _told(self, ref: Ref, location: str) -> str:
        """A version stays where it is one of ours; that of a copy elsewhere is none of what is made here."""
        local = references.local(ref.value, self._base)
        return str(local) if local and f"{local.type}/{local.id}" == location else location

    def _look_up(self, refs: Sequence[Ref]) -> None:
        """Which of the others name something that is here."""
        wanted = {ref.value: references.local(ref.value, self._base) for ref in refs if ref.kind in _HERE}
        pairs = {(local.type, local.id) for local in wanted.values() if local}
        heads = self._world.tx.heads(pairs) if pairs else {}
        for value, local in wanted.items():
            if local is not None and (local.type, local.id) in heads:
                self._found[value] = str(local)
                if local.type == "Patient":
                    self._patients[f"Patient/{local.id}"] = heads["Patient", local.id].rid

    def _look_up_conditions(self) -> None:
        asked: dict[Condition, dict[str, str]] = defaultdict(dict)
        for at, refs in enumerate(self._refs):
            for ref in refs:
                query = references.condition(ref.value) if ref.kind == "conditional" else None
                if query is not None:
                    asked[self._condition(*query, at, ref)].setdefault(ref.value, self._where(at, ref))
        if not asked:
            return
        found, stated = look_up(self._world, list(asked), (), ()).conditions, self._stated()
        fitting = {condition: rids | stated[condition.type, *condition.row] for condition, rids in found.items()}
        live = self._live({rid for rids in fitting.values() for rid in rids})
        for condition, places in asked.items():
            rid = check_reference(fitting[condition] & live.keys(), next(iter(places.values())))
            self._found |= dict.fromkeys(places, live[rid])
            if condition.type == "Patient":
                self._patients[live[rid]] = rid

    def _stated(self) -> dict[tuple[str, str, str], set[int]]:
        """By type, system and value: who has an identifier once this message is done, as conditional references are
        resolved last (FHIR R4 §3.1.0.11.2)."""
        stated: dict[tuple[str, str, str], set[int]] = defaultdict(set)
        for one in self._meant:
            if one.state is not None and one.item.resource is not None and not one.is_ignored:
                for row in conditions.rows(search.identifiers_of(one.item.resource)):
                    stated[one.item.type, *row].add(one.state.rid)
        return stated

    def _live(self, rids: Collection[int]) -> dict[int, str]:
        """The `Type/id` of those that are there once this message is done."""
        here = {one.state.rid: one.state.location for one in self._meant if one.state and one.item.resource}
        gone = {one.state.rid for one in self._meant if one.state and one.item.resource is None}
        heads = self._world.tx.heads_by_rid([rid for rid in rids if rid not in here and rid not in gone])
        return here | {rid: f"{head.type}/{head.id}" for rid, head in heads.items() if not head.deleted}

    def _condition(self, type_: str, query: str, at: int, ref: Ref) -> Condition:
        try:
            return conditions.parse(type_, query)
        except InvalidInput as error:
            error.expression = self._where(at, ref)
            raise

    def _where(self, at: int, ref: Ref) -> str:
        return f"{self._meant[at].item.path}.{ref.path}"

    def _dangling(self, at: int, mapping: dict[str, str]) -> list[Issue]:
        found, path = self._found, self._meant[at].item.path
        return [
            references.dangling(ref, path)
            for ref in self._refs[at]
            if ref.value not in mapping and ref.value not in found and (ref.kind in _MUST or self._is_ours(ref))
        ]

    def _misdirected(self, at: int, mapping: dict[str, str]) -> Iterator[Issue]:
        """What a urn or an absolute URL turns out to name and may not: of other forms the gate has seen the type."""
        resource, path = self._meant[at].item.resource, self._meant[at].item.path
        for ref in self._refs[at]:
            location = mapping.get(ref.value) or self._found.get(ref.value)
            if resource is not None and location is not None and ref.kind in _BLIND:
                named, allowed = location.partition("/")[0], _targets(resource, ref)
                if allowed and named not in allowed:
                    text = f"the reference must name {' or '.join(allowed)}, and names a {named}"
                    yield Issue("error", "value", text, f"{path}.{ref.path}")

    def _is_ours(self, ref: Ref) -> bool:
        return ref.kind == "absolute" and references.local(ref.value, self._base) is not None

    def _rewritten(self, at: int, mapping: dict[str, str]) -> Resource | None:
        resource = self._meant[at].item.resource
        known = self._found | mapping if self._found else mapping
        return references.rewrite(resource, known, self._refs[at]) if resource else None


def _targets(resource: Resource, ref: Ref) -> tuple[str, ...]:
    """The types that a reference may name where it stands, perhaps in a contained resource."""
    if ref.trail[0] != "contained":
        return elements.targets(resource["resourceType"], ref.trail)
    return elements.targets(resource["contained"][ref.trail[1]]["resourceType"], ref.trail[2:])


def _open_part(resource: Resource) -> Resource:
    """What of it refers to others. The entries of a Bundle that is kept as one refer to each other (FHIR R4 §2.36.4.1),
    and it may be signed."""
    if resource["resourceType"] != "Bundle":
        return resource
    return {name: value for name, value in resource.items() if name != "entry"}


def _with_attachments(resource: Resource) -> tuple[Ref, ...]:
    return references.collect(resource) + references.attachments(resource)


_NAMING = frozenset({"urn", "absolute", "relative", "link", "narrative"})
_HERE = ("relative", "absolute")
_BLIND = ("urn", "absolute")
_MUST = ("relative", "urn", "conditional", "unreadable")
