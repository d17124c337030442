"""Transactions and batches: references, all or nothing, one bad entry, the order of the answers (FHIR R4 §3.1.0.11)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from gateway.fhir import gate, json

from .desk import MRN, PUBLIC, Desk, bundle, decoded, entry, issue, observation, patient

pytestmark = pytest.mark.anyio

A, B = "urn:uuid:7e1f6f0c-52c1-4cf5-9d0b-1a5d3c1f0a01", "urn:uuid:7e1f6f0c-52c1-4cf5-9d0b-1a5d3c1f0a02"
FULL = {"prefer": "return=representation"}


async def stored(desk: Desk, location: str) -> dict[str, Any]:
    return await desk.read("/" + location.partition("/_history/")[0])


def statuses(answer: Any) -> list[str]:
    return [one["response"]["status"][:3] for one in decoded(answer)["entry"]]


def locations(answer: Any) -> list[str]:
    return [one["response"].get("location", "") for one in decoded(answer)["entry"]]


async def test_every_kind_of_reference(desk: Desk) -> None:
    known = await desk.made_id(patient("Known", (MRN, "known")))
    body = observation(
        A,
        hasMember=[
            {"reference": B},
            {"reference": "Observation/in-the-export"},
            {"reference": f"{PUBLIC}/fhir/Observation/in-the-export"},
            {"reference": "https://elsewhere.example/fhir/Observation/1"},
        ],
        performer=[
            {"reference": f"Patient?identifier={MRN}|known"},
            {"reference": f"Patient/{known}"},
            {"reference": f"{PUBLIC}/fhir/Patient/{known}"},
            {"identifier": {"system": MRN, "value": "known"}},
            {"reference": "#me"},
        ],
        contained=[{"resourceType": "Practitioner", "id": "me"}],
    )
    answer = await desk.transact(
        entry("POST", "Observation", body, full_url=f"{PUBLIC}/x"),
        entry("POST", "Patient", patient("New", (MRN, "new")), full_url=A),
        entry("POST", "Observation", observation(), full_url=B),
        entry(
            "POST",
            "Observation",
            {**observation(), "id": "in-the-export"},
            full_url="urn:uuid:0a5d3c1f-0a03-4cf5-9d0b-1a5d3c1f0a03",
        ),
    )
    assert answer.status_code == 200, answer.text
    made, new, second, exported = [one.partition("/_history/")[0] for one in locations(answer)]
    now = await stored(desk, made)
    assert now["subject"] == {"reference": new}
    assert [one["reference"] for one in now["hasMember"]] == [
        second,
        exported,
        exported,
        "https://elsewhere.example/fhir/Observation/1",
    ]
    assert now["performer"] == [
        {"reference": f"Patient/{known}"},
        {"reference": f"Patient/{known}"},
        {"reference": f"Patient/{known}"},
        {"identifier": {"system": MRN, "value": "known"}},
        {"reference": "#me"},
    ]
    assert [one["id"] for one in await desk.found(f"/Observation?patient={new.partition('/')[2]}")] == [now["id"]]


@pytest.mark.parametrize(
    "reference",
    [
        "Patient/nobody",
        f"{PUBLIC}/fhir/Patient/nobody",
        "urn:uuid:7e1f6f0c-52c1-4cf5-9d0b-1a5d3c1f0aff",
        f"Patient?identifier={MRN}|nobody",
        "Patient?name=Ada",
        "nonsense",
    ],
)
async def test_a_reference_to_nothing_is_refused_with_its_place_and_nothing_is_stored(
    desk: Desk, reference: str
) -> None:
    answer = await desk.transact(
        entry("POST", "Patient", patient("Kept out")), entry("POST", "Observation", observation(reference))
    )
    assert 400 <= answer.status_code < 500
    assert issue(answer)["expression"] == ["Bundle.entry[1].resource.subject.reference"]
    assert desk.counts() == {} and desk.messages() == [] and desk.sequence() == 0
    alone = await desk.post(observation(reference))
    assert 400 <= alone.status_code < 500 and issue(alone)["expression"] == ["Observation.subject.reference"]


@pytest.mark.parametrize("base", ["", f"{PUBLIC}/fhir/"])
async def test_a_reference_to_a_version_keeps_it_beside_an_update_of_the_same_resource(desk: Desk, base: str) -> None:
    made = await desk.made_id(patient("Versioned", (MRN, "versions")))
    now = {**patient("Versioned", (MRN, "versions"), gender="female"), "id": made}
    there = "https://there.example/fhir/Observation/1"
    for update in (f"Patient/{made}", f"Patient?identifier={MRN}|versions"):
        answer = await desk.transact(
            entry("PUT", update, now, full_url=f"{PUBLIC}/fhir/Patient/{made}"),
            entry("POST", "Observation", observation(), full_url=there),
            entry(
                "POST",
                "Observation",
                observation(f"{base}Patient/{made}/_history/1", hasMember=[{"reference": f"{there}/_history/4"}]),
            ),
        )
        _, member, one = [one.partition("/_history/")[0] for one in locations(answer)]
        kept = await stored(desk, one)
        assert kept["subject"] == {"reference": f"Patient/{made}/_history/1"}
        assert kept["hasMember"] == [{"reference": member}], "their version is none of ours"


@pytest.mark.parametrize("url", ["Binary/b1", "https://there.example/fhir/Binary/b1"])
async def test_an_attachment_follows_the_binary_of_its_transaction(desk: Desk, url: str) -> None:
    """FHIR R4 §3.1.0.11.2: elements of type url are links as references are."""
    there = "https://there.example/fhir"
    binary = {"resourceType": "Binary", "id": "b1", "contentType": "text/plain", "data": "SGk="}
    elsewhere = [{"attachment": {"url": "Binary/b2"}}, {"attachment": {"url": "https://other.example/Binary/b1"}}]
    document = {"resourceType": "DocumentReference", "status": "current", "content": [{"attachment": {"url": url}}]}
    document["content"] += elsewhere
    answer = await desk.transact(
        entry("POST", "DocumentReference", document, full_url=f"{there}/DocumentReference/d1"),
        entry("POST", "Binary", binary, full_url=f"{there}/Binary/b1"),
    )
    made, kept = [one.partition("/_history/")[0] for one in locations(answer)]
    assert (await stored(desk, made))["content"] == [{"attachment": {"url": kept}}, *elsewhere]


async def test_a_conditional_reference_sees_what_its_transaction_wrote(desk: Desk) -> None:
    """FHIR R4 §3.1.0.11.2: deletes, creates and updates come first, conditional references are resolved last."""
    visits, gone = "https://x.example/visits", await desk.made_id(observation(None, (MRN, "gone")))
    wanted = {"reference": f"Observation?identifier={visits}|1"}
    answer = await desk.transact(
        entry("POST", "Observation", observation(f"Patient?identifier={MRN}|new", hasMember=[wanted])),
        entry("POST", "Patient", patient("New", (MRN, "new"))),
        entry("PUT", f"Observation?identifier={visits}|1", observation(None, (visits, "1"))),
    )
    assert statuses(answer) == ["201", "201", "201"], answer.text
    made, new, member = [one.partition("/_history/")[0] for one in locations(answer)]
    now = await stored(desk, made)
    assert now["subject"] == {"reference": new} and now["hasMember"] == [{"reference": member}]
    assert [one["id"] for one in await desk.found(f"/Observation?patient={new}")] == [now["id"]]

    member = {"reference": f"Observation?identifier={MRN}|gone"}
    answer = await desk.transact(
        entry("POST", "Observation", observation(hasMember=[member])), entry("DELETE", f"Observation/{gone}")
    )
    assert answer.status_code == 400 and issue(answer)["expression"] == [
        "Bundle.entry[0].resource.hasMember[0].reference"
    ]
    answer = await desk.transact(
        entry("POST", "Observation", observation(None, (MRN, "gone"))),
        entry("POST", "Observation", observation(hasMember=[member])),
    )
    assert answer.status_code == 412 and issue(answer)["code"] == "multiple-matches"


async def test_a_reference_to_what_may_not_stand_there_is_refused_whatever_its_form(desk: Desk) -> None:
    """The stored form names the type, and would not pass the gate when it is put back."""
    organization = {"resourceType": "Organization", "name": "Clinic"}
    made, there = await desk.made_id(organization), "https://there.example/fhir/Organization/1"
    before = desk.sequence()
    for full_url in (A, there):
        answer = await desk.transact(
            entry("POST", "Organization", organization, full_url=full_url),
            entry("POST", "Observation", observation(full_url)),
        )
        assert answer.status_code == 422 and issue(answer)["code"] == "value"
        assert issue(answer)["expression"] == ["Bundle.entry[1].resource.subject.reference"]
    for wrong in (f"{PUBLIC}/fhir/Organization/{made}", f"Organization/{made}"):
        answer = await desk.post(observation(wrong))
        assert answer.status_code == 422 and issue(answer)["expression"] == ["Observation.subject.reference"]
    inside = {**observation(f"{PUBLIC}/fhir/Organization/{made}"), "id": "o"}
    answer = await desk.post(observation(contained=[inside], hasMember=[{"reference": "#o"}]))
    assert issue(answer)["expression"] == ["Observation.contained[0].subject.reference"]
    assert desk.sequence() == before
    right = observation(performer=[{"reference": f"{PUBLIC}/fhir/Organization/{made}"}])
    assert (await desk.post(right)).status_code == 201


async def test_one_conditional_reference_in_two_spellings(desk: Desk) -> None:
    made = await desk.made_id(patient("Known", (MRN, "known")))
    plain, escaped = f"Patient?identifier={MRN}|known", f"Patient?identifier={MRN.replace(':', '%3A')}%7Cknown"
    one = observation(plain, performer=[{"reference": escaped}, {"reference": plain}])
    now = decoded(await desk.post(one))
    assert [one["reference"] for one in (now["subject"], *now["performer"])] == [f"Patient/{made}"] * 3


async def test_several_that_fit_a_conditional_reference_are_412(desk: Desk) -> None:
    for family in ("One", "Two"):
        await desk.made_id(patient(family, ("https://shared.example", "1")))
    answer = await desk.post(observation("Patient?identifier=https://shared.example|1"))
    assert answer.status_code == 412 and issue(answer)["code"] == "multiple-matches"
    assert "Observation" not in desk.counts()


async def test_all_or_nothing(desk: Desk) -> None:
    made = await desk.made_id(observation())
    bad: list[dict[str, Any]] = [
        entry("POST", "Observation", {**observation(), "status": "nonsense"}),
        entry("PUT", "Observation/never", {**observation(), "id": "never"}),
        entry("PUT", f"Observation/{made}", {**observation(), "id": made}, ifMatch='W/"9"'),
        entry("GET", "Observation/never"),
        entry("POST", "Observation", {"resourceType": "Patient"}),
        entry("PATCH", f"Observation/{made}"),
        entry("DELETE", "Observation"),
        {"resource": observation()},
    ]
    before = desk.sequence()
    for one in bad:
        good = [entry("POST", "Patient", patient("Nobody", (MRN, "n"))), entry("DELETE", f"Observation/{made}")]
        answer = await desk.transact(*good, one)
        assert 400 <= answer.status_code < 500, one
        assert desk.sequence() == before, one
    assert await desk.found(f"/Patient?identifier={MRN}|n") == []
    assert (await desk.read(f"/Observation/{made}"))["id"] == made


async def test_two_entries_on_one_resource_are_refused(desk: Desk) -> None:
    made = await desk.made_id(patient("Twice", (MRN, "twice")))
    by_id = entry("PUT", f"Patient/{made}", {**patient("Twice"), "id": made})
    by_condition = entry("PUT", f"Patient?identifier={MRN}|twice", patient("Twice", (MRN, "twice")))
    by_key = entry("POST", "Patient", patient("Twice", (MRN, "twice")))
    away = entry("DELETE", f"Patient/{made}")
    before = desk.sequence()
    for pair in ((by_id, by_condition), (by_condition, by_key), (by_id, away), (by_condition, by_condition)):
        answer = await desk.transact(*pair)
        assert answer.status_code == 400, answer.text
        assert issue(answer)["expression"][0].startswith("Bundle.entry[")
    assert desk.sequence() == before
    new = entry("POST", "Patient", patient("Fresh", (MRN, "fresh")))
    answer = await desk.transact(new, new)
    assert answer.status_code == 400 and desk.counts() == {"Patient": 1, "Provenance": 1}


async def test_answers_come_in_the_order_of_the_request(desk: Desk) -> None:
    gone, kept = await desk.made_id(observation()), await desk.made_id(observation())
    answer = await desk.transact(
        entry("GET", f"Observation/{kept}"),
        entry("PUT", f"Observation/{kept}", {**observation(status="amended"), "id": kept}),
        entry("POST", "Patient", patient("New", (MRN, "in-order"))),
        entry("DELETE", f"Observation/{gone}"),
        entry("GET", f"Patient?identifier={MRN}|in-order"),
        prefer="return=representation",
    )
    assert statuses(answer) == ["200", "200", "201", "204", "200"]
    read, put, post, _, search = decoded(answer)["entry"]
    assert read["resource"]["status"] == "amended", "reads see what the transaction wrote"
    assert put["response"]["etag"] == 'W/"2"' and put["resource"]["status"] == "amended"
    assert post["resource"]["id"] in post["response"]["location"]
    assert [one["resource"]["id"] for one in search["resource"]["entry"]] == [post["resource"]["id"]]


async def test_conditional_entries_of_a_transaction_sent_twice_make_nothing_twice(desk: Desk) -> None:
    visits = "https://x.example/visits"
    entries = [
        entry("PUT", f"Patient?identifier={MRN}|again", patient("Again", (MRN, "again")), full_url=A),
        entry("POST", "Observation", observation(A, (visits, "1")), ifNoneExist=f"identifier={visits}|1"),
        entry("PUT", f"Observation?identifier={visits}|2", observation(A, (visits, "2"))),
    ]
    first = await desk.transact(*entries)
    before = desk.sequence()
    second = await desk.transact(*entries)
    assert statuses(first) == ["201", "201", "201"] and statuses(second) == ["200", "200", "200"]
    assert locations(first) == locations(second) and desk.sequence() == before


@pytest.mark.parametrize("kind", ["searchset", "history", "collection", "document", "message", "batch-response", "x"])
async def test_other_kinds_of_bundle_are_refused_by_name(desk: Desk, kind: str) -> None:
    answer = await desk.fhir("POST", "", bundle(kind))
    assert answer.status_code == 422 and issue(answer)["expression"] == ["Bundle.type"]


@pytest.mark.parametrize("body", [patient("No Bundle"), [], "text", None, {"resourceType": "Bundle"}])
async def test_what_is_no_bundle_is_refused(desk: Desk, body: Any) -> None:
    answer = await desk.fhir("POST", "", b"null" if body is None else body)
    assert answer.status_code == 422 and desk.messages() == []


async def test_empty_bundles_are_answered(desk: Desk) -> None:
    for kind in ("transaction", "batch"):
        answer = await desk.fhir("POST", "", {"resourceType": "Bundle", "type": kind})
        assert answer.status_code == 200
        assert decoded(answer) == bundle(f"{kind}-response"), "no list is empty (FHIR R4 §2.6.2)"


async def test_an_answer_about_one_patient_twice_is_a_sound_bundle(desk: Desk) -> None:
    """bdl-7: a fullUrl stands once for each version."""
    again = entry("PUT", f"Patient?identifier={MRN}|twice", patient("Twice", (MRN, "twice")))
    answer = await desk.batch(again, again, **FULL)

    first, second = decoded(answer)["entry"]
    assert gate.check(decoded(answer)) == []
    assert (first["response"]["status"], second["response"]["status"]) == ("201 Created", "200 OK")
    assert first["resource"] == second["resource"]


async def test_one_bad_entry_of_a_batch_loses_nothing_else(desk: Desk) -> None:
    made = await desk.made_id(observation())
    await desk.made_id(patient("Holder", (MRN, "held")))
    stranger = patient("Stranger", (MRN, "held"), name=[{"family": "Zed", "given": ["Zoe"]}], birthDate="1950-05-05")
    answer = await desk.batch(
        entry("POST", "Patient", patient("First", (MRN, "first"))),
        entry("POST", "Patient", {**patient("Bad"), "gender": "w"}),
        entry("GET", f"Observation/{made}"),
        entry("GET", "Observation/never"),
        entry("POST", "Observation", observation("Patient/nobody")),
        entry("PUT", "Observation/never", {**observation(), "id": "never"}),
        entry("POST", "Patient", stranger),
        entry("PATCH", "Patient/1"),
        {"nonsense": True},
        entry("DELETE", f"Observation/{made}"),
        entry("POST", "Patient", {**patient("Nul"), "language": "a\0b"}),
        entry("PUT", f"Patient?identifier={MRN}|first", patient("First", (MRN, "first"), gender="female")),
        entry("POST", "Patient", patient("Last", (MRN, "last"))),
    )
    assert answer.status_code == 200, answer.text
    expected = ["201", "422", "200", "404", "400", "405", "409", "405", "400", "204", "422", "200", "201"]
    assert statuses(answer) == expected
    wrong = decoded(answer)["entry"][1]["response"]["outcome"]["issue"][0]
    assert wrong["expression"] == ["Bundle.entry[1].resource.gender"]
    assert desk.counts()["Patient"] == 3
    [held] = desk.messages("held")
    assert held.kind == "fhir-bundle", "a held entry holds its message"


async def test_a_batch_is_one_message_however_many_entries(desk: Desk) -> None:
    await desk.batch(*[entry("POST", "Observation", observation()) for _ in range(5)])
    [message] = desk.messages()
    assert message.state == "applied" and message.kind == "fhir-bundle"
    assert desk.counts() == {"Observation": 5, "Provenance": 1}
    [provenance] = await desk.found("/Provenance")
    assert len(provenance["target"]) == 5
    assert provenance["entity"][0]["what"]["identifier"]["value"] == message.message_id


async def test_a_batch_with_an_idempotency_key_happens_once(desk: Desk) -> None:
    entries = [entry("POST", "Observation", observation()), entry("GET", "Observation/never")]
    headers = {"idempotency-key": "b-1"}
    body = bundle("batch", *entries)
    first = await desk.fhir("POST", "", body, headers=headers)
    again = await desk.fhir("POST", "", body, headers=headers)
    assert first.status_code == 200 and again.content == first.content
    assert desk.counts()["Observation"] == 1
    other = await desk.fhir("POST", "", bundle("batch"), headers=headers)
    assert 400 <= other.status_code < 500


async def test_more_than_ten_thousand_entries_are_413(desk: Desk) -> None:
    one = entry("GET", "Observation/x")
    for kind in ("transaction", "batch"):
        answer = await desk.fhir("POST", "", bundle(kind, *[one] * 10_001))
        assert answer.status_code == 413


async def test_a_thousand_entries_that_refer_to_each_other(desk: Desk) -> None:
    entries = [entry("POST", "Patient", patient("Many", (MRN, "many")), full_url=A)]
    entries += [entry("POST", "Observation", observation(A, ("https://x.example", str(n)))) for n in range(999)]
    answer = await desk.transact(*entries)
    assert answer.status_code == 200 and desk.counts()["Observation"] == 999


async def test_every_entry_needs_its_own_scope(desk: Desk) -> None:
    reader = desk.add_key("reader", "app", "system/Observation.rs system/Patient.c")
    made = await desk.made_id(observation())
    allowed = [
        entry("GET", f"Observation/{made}"),
        entry("GET", "Observation"),
        entry("POST", "Patient", patient("Yes")),
    ]
    denied = [
        entry("POST", "Observation", observation()),
        entry("PUT", f"Observation/{made}", {**observation(), "id": made}),
        entry("DELETE", f"Observation/{made}"),
        entry("GET", "Patient"),
        entry("GET", "Patient/x"),
    ]
    before = desk.sequence()
    for one in denied:
        answer = await desk.fhir("POST", "", bundle("transaction", *allowed, one), key=reader)
        assert answer.status_code == 403 and desk.sequence() == before, one
    answer = await desk.fhir("POST", "", bundle("batch", *allowed, *denied), key=reader)
    assert answer.status_code == 200
    assert statuses(answer) == ["200", "200", "201", *["403"] * len(denied)]
    assert desk.counts() == {"Observation": 1, "Patient": 1, "Provenance": 2}, "one of each message"


async def test_a_transaction_changes_nothing_of_what_was_sent_but_ids_and_references(desk: Desk) -> None:
    note = [{"text": "A  note\nwith lines", "time": "2026-01-01T10:00:00.123+02:00"}]
    answer = await desk.transact(
        entry(
            "POST", "Observation", observation(note=note, extension=[{"url": "https://x.example/e", "valueCode": "x"}])
        ),
        prefer="return=representation",
    )
    [one] = decoded(answer)["entry"]
    assert one["resource"]["note"] == note
    assert one["resource"]["extension"] == [{"url": "https://x.example/e", "valueCode": "x"}]


async def test_one_provenance_names_the_message_and_every_version_it_made(desk: Desk) -> None:
    answer = await desk.transact(
        entry("POST", "Patient", patient("Traced", (MRN, "traced")), full_url=A),
        entry("POST", "Observation", observation(A)),
    )
    [provenance] = await desk.found("/Provenance")
    assert sorted(one["reference"] for one in provenance["target"]) == sorted(locations(answer))
    [message] = desk.messages()
    assert provenance["entity"][0]["what"]["identifier"]["value"] == message.message_id


@pytest.mark.parametrize("chunked", [False, True], ids=["declared", "in chunks"])
async def test_large_bodies_are_bounded_together_and_small_ones_pass(desk: Desk, chunked: bool) -> None:
    """A hundred clients with 50 MB each would take all memory: who comes too much is told to come again."""
    large = {**observation(), "note": 3 * [{"text": "x" * 400_000}]}
    whole = json.encode(bundle("transaction", entry("POST", "Observation", large)))

    async def chunks() -> AsyncIterator[bytes]:
        yield whole[:1000]
        yield whole[1000:]

    headers = {"content-type": "application/fhir+json", "authorization": f"Bearer {desk.key}"}
    with desk.context.bodies.place() as grow:
        grow(desk.context.settings.body_bytes)
        answer = await desk.client.post("/fhir", content=chunks() if chunked else whole, headers=headers)
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
        assert answer.json()["issue"][0]["code"] == "throttled" and desk.counts() == {}
        assert (await desk.fhir("POST", "/Observation", large)).status_code == 503
        assert (await desk.fhir("POST", "/Observation", observation())).status_code == 201
    answer = await desk.client.post("/fhir", content=chunks() if chunked else whole, headers=headers)
    assert answer.status_code == 200
