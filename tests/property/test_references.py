"""References and Bundles over arbitrary JSON: lossless, never mutating, never an unexpected exception."""

from __future__ import annotations

import copy
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import InvalidInput
from gateway.fhir import bundle, references

BASE = "https://gateway.example/fhir"
URNS = [f"urn:uuid:{number}" for number in range(4)]
names = st.sampled_from(
    ["reference", "subject", "url", "valueUri", "valueCanonical", "div", "identifier", "value", "display", "contained"]
)
texts = st.sampled_from(
    [*URNS, "Patient/1", "#a", "Patient?identifier=1", f'<div><a href="{URNS[0]}"/></div>', "", "x"]
)
json_values = st.recursive(
    texts | st.none() | st.booleans() | st.integers(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=4),
    max_leaves=20,
)
resources = st.dictionaries(names, json_values, max_size=5)
there = {urn: f"Patient/{number}x" for number, urn in enumerate(URNS)}
back = {name: urn for urn, name in there.items()}


@given(resources)
def test_rewriting_never_touches_what_was_parsed(resource: dict[str, Any]) -> None:
    before = copy.deepcopy(resource)
    after = references.rewrite(resource, there)
    assert resource == before
    assert not any(ref.value in there for ref in references.collect(after))


@given(resources)
def test_rewriting_changes_nothing_but_what_was_collected(resource: dict[str, Any]) -> None:
    refs = [ref for ref in references.collect(resource) if ref.kind in ("urn", "relative")]
    after = references.rewrite(resource, there, refs)
    assert references.rewrite(after, back, [ref._replace(value=there.get(ref.value, "")) for ref in refs]) == resource


@given(resources)
def test_every_path_leads_to_its_value(resource: dict[str, Any]) -> None:
    for ref in references.collect(resource):
        node: Any = resource
        for step in ref.trail:
            node = node[step]
        part = node if ref.kind != "identifier" else node["identifier"]
        assert part == ref.value or ref.kind == "identifier" or (ref.kind == "narrative" and ref.value in part)


scalars = st.none() | st.integers() | st.text(max_size=8) | texts
requests = st.fixed_dictionaries(
    {},
    optional={
        "method": st.sampled_from(["GET", "PUT", "POST", "DELETE", "PATCH"]) | scalars,
        "url": st.sampled_from(["Patient", "Patient/1", "Patient?identifier=a|1", f"{BASE}/Patient/1", "Patient?"])
        | scalars,
        "ifMatch": scalars,
        "ifNoneExist": scalars,
    },
)
bodies = st.fixed_dictionaries(
    {}, optional={"resourceType": st.just("Patient") | scalars, "id": scalars, "meta": json_values}
)
entries = st.fixed_dictionaries(
    {}, optional={"fullUrl": scalars, "request": requests | scalars, "resource": bodies | json_values}
)


@given(st.sampled_from(["transaction", "batch"]), st.lists(entries | json_values, max_size=4) | scalars)
def test_reading_a_bundle_refuses_clearly_or_gives_every_entry(kind: str, listed: Any) -> None:
    raw = {"resourceType": "Bundle", "type": kind, "entry": listed}
    try:
        read = bundle.read(raw, base=BASE)
    except InvalidInput as refused:
        assert refused.expression
        return
    assert [entry.index for entry in read] == list(range(len(listed)))
    assert kind == "batch" or not any(entry.error for entry in read)
    bundle.targets(read, BASE)
    assert sorted(bundle.in_order([one for one in read if not one.error]), key=lambda one: one.index) == [
        one for one in read if not one.error
    ]


@given(st.text())
def test_any_text_is_some_kind_of_reference(text: str) -> None:
    references.kind_of(text)
    found = references.local(text, BASE)
    assert found is None or references.local(str(found), BASE) == found
