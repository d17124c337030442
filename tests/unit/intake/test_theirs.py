"""How findings hang together, and what becomes of references to what nobody brought."""

from __future__ import annotations

from typing import Any

from gateway.connectors.call import Found, theirs
from gateway.intake.theirs import lots, settle

SYSTEM = "https://system.example"


def found(type_: str, id_: str, *refs: str, **more: Any) -> Found:
    body = {"resourceType": type_, "basedOn": [{"reference": ref} for ref in refs], **more}
    return Found(type_, id_, body)


def names(*listed: Found) -> list[list[str]]:
    return [[listed[at].name for at in lot] for lot in lots(listed)]


def test_what_others_refer_to_comes_first() -> None:
    report = found("DiagnosticReport", "r", "Observation/a", "Observation/b", "Patient/elsewhere")
    assert names(report, found("Observation", "a", "Observation/b"), found("Observation", "b")) == [
        ["Observation/b"],
        ["Observation/a"],
        ["DiagnosticReport/r"],
    ]


def test_what_refers_to_each_other_is_one_lot() -> None:
    visit = found("Encounter", "e", "Condition/c", "Location/l")
    condition = found("Condition", "c", "Encounter/e")
    listed = names(visit, condition, found("Location", "l"), found("Observation", "o", "Encounter/e"))
    assert listed == [["Location/l"], ["Encounter/e", "Condition/c"], ["Observation/o"]]


def test_a_long_chain_and_a_large_ring_are_no_trouble() -> None:
    chain = [found("Observation", str(at), f"Observation/{at + 1}") for at in range(5_000)]
    assert [lot[0] for lot in lots(chain)] == list(range(4_999, -1, -1))
    ring = [found("Observation", str(at), f"Observation/{(at + 1) % 5_000}") for at in range(5_000)]
    assert lots(ring) == [list(range(5_000))]


def test_what_is_named_by_its_urn_comes_first() -> None:
    binary = Found("Binary", "b", {"resourceType": "Binary"})
    attachment = {"attachment": {"url": binary.urn}}
    assert lots([Found("DocumentReference", "d", {"content": [attachment]}), binary]) == [[1], [0]]


def test_a_deleted_one_and_one_nested_too_deeply_name_nobody() -> None:
    deep: Any = {}
    for _ in range(400):
        deep = {"extension": [deep]}
    assert lots(
        [Found("Observation", "x", None), Found("Observation", "y", {"resourceType": "Observation", **deep})]
    ) == [
        [0],
        [1],
    ]


def body(*targets: str) -> dict[str, Any]:
    return {
        "resourceType": "Condition",
        "evidence": [{"detail": [theirs(*target.split("/"), SYSTEM)]} for target in targets],
    }


def details(settled: dict[str, Any]) -> list[Any]:
    return [one["detail"][0] for one in settled["evidence"]]


def test_references_are_linked_kept_or_meant_beside() -> None:
    given = body("Observation/linked", "Observation/beside", "Observation/nowhere")
    ours = {"Observation/linked": "Observation/our-1"}
    settled = settle(given, SYSTEM, ours, frozenset({"Observation/beside"}))
    assert details(settled.body) == [
        {"reference": "Observation/our-1", "type": "Observation"},
        {"reference": "Observation/beside", "type": "Observation"},
        {"type": "Observation", "identifier": {"system": SYSTEM, "value": "Observation/nowhere"}},
    ]
    assert settled.kept == 1
    assert given == body("Observation/linked", "Observation/beside", "Observation/nowhere"), "nothing parsed is changed"


def test_other_references_are_left_alone() -> None:
    other = {"reference": "Observation/x", "identifier": {"system": "https://other.example", "value": "1"}}
    plain = {
        "resourceType": "Condition",
        "evidence": [{"detail": [other]}, {"detail": [{"reference": "Observation/y"}]}],
    }
    assert settle(plain, SYSTEM, {}, frozenset()).body is plain
