"""One resource at a time: create, read, vread, update, delete, history (FHIR R4 §3.1.0)."""

from __future__ import annotations

import pytest

from gateway.fhir import json

from .desk import FHIR, MRN, PUBLIC, UNLISTED, Desk, decoded, entry, issue, link, observation, patient, resources

pytestmark = pytest.mark.anyio


async def put(desk: Desk, body: dict, **headers: str):
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return await desk.fhir("PUT", f"/{body['resourceType']}/{body['id']}", body, headers=named)


async def test_create_answers_with_the_stored_form_and_where_it_is(desk: Desk) -> None:
    answer = await desk.post(observation(valueQuantity={"value": json.decode(b"1.50"), "unit": "mg"}))
    assert answer.status_code == 201
    assert answer.headers["content-type"] == FHIR
    stored = decoded(answer)
    assert answer.headers["etag"] == 'W/"1"' and stored["meta"]["versionId"] == "1"
    assert answer.headers["location"] == f"{PUBLIC}/fhir/Observation/{stored['id']}/_history/1"
    assert b'"value":1.50' in answer.content, "precision is kept"
    assert (await desk.fhir("GET", f"/Observation/{stored['id']}")).content == answer.content


async def test_a_bundle_that_is_kept_as_a_resource_is_whole_in_itself(desk: Desk) -> None:
    made, urn = await desk.made_id(patient("Here")), "urn:uuid:7e1f6f0c-52c1-4cf5-9d0b-1a5d3c1f0a01"
    inside = [
        {"fullUrl": urn, "resource": patient("Inside")},
        {"fullUrl": "https://x.example/fhir/Patient/1", "resource": {**patient("Inside"), "id": "1"}},
        {"fullUrl": "https://x.example/fhir/Observation/2", "resource": observation("Patient/1")},
        {"fullUrl": "https://x.example/fhir/Observation/3", "resource": observation(urn)},
        {"fullUrl": "https://x.example/fhir/Observation/4", "resource": observation(f"{PUBLIC}/fhir/Patient/{made}")},
    ]
    bundle = {"resourceType": "Bundle", "type": "collection", "entry": inside}
    answer = await desk.post(bundle)
    assert answer.status_code == 201, answer.text
    assert decoded(answer)["entry"] == inside, "it may be signed"
    answer = await desk.transact(
        entry("POST", "Bundle", bundle), entry("POST", "Patient", {**patient("Beside"), "id": "1"}, full_url=urn)
    )
    kept = await desk.found("/Bundle")
    assert [one["entry"] for one in kept] == [inside, inside]


async def test_an_id_of_the_caller_is_not_taken_on_create(desk: Desk) -> None:
    made = await desk.made_id({**observation(), "id": "mine", "meta": {"versionId": "77"}})
    assert made != "mine"
    assert (await desk.read(f"/Observation/{made}"))["meta"]["versionId"] == "1"


async def test_ids_are_uuid_7(desk: Desk) -> None:
    made = await desk.made_id(observation())
    assert made[14] == "7" and made[19] in "89ab"


@pytest.mark.parametrize(
    "prefer", ["return=minimal", "return=minimal; handling=strict", "Return=Minimal", 'return = "minimal"']
)
async def test_prefer_minimal_answers_without_a_body(desk: Desk, prefer: str) -> None:
    answer = await desk.post(observation(), prefer=prefer)
    assert answer.status_code == 201 and answer.content == b"" and answer.headers["location"]
    assert "content-type" not in answer.headers, "nothing is of no type"


async def test_prefer_an_operation_outcome(desk: Desk) -> None:
    """FHIR R4 §3.1.0.1: the header Prefer."""
    answer = await desk.post(observation(), prefer="return=OperationOutcome")
    assert answer.status_code == 201 and answer.headers["location"]
    assert issue(answer)["severity"] == "information"
    refused = await desk.post({**observation(), "status": "odd"}, prefer="return=OperationOutcome")
    assert refused.status_code == 422 and issue(refused)["severity"] == "error"


async def test_a_preference_may_stand_in_a_header_of_its_own(desk: Desk) -> None:
    """RFC 7240 §2: several Prefer headers are one list."""
    sent = [("authorization", f"Bearer {desk.key}"), ("content-type", FHIR)]
    sent += [("prefer", "handling=lenient"), ("prefer", "return=minimal")]
    answer = await desk.client.post("/fhir/Observation", content=json.encode(observation()), headers=sent)
    assert answer.status_code == 201 and answer.content == b""


async def test_a_condition_may_name_our_address_and_the_format_of_the_answer(desk: Desk) -> None:
    """As HAPI FHIR's client sends them; `_format` is no part of what is searched for (FHIR R4 §3.1.0.1.11)."""
    visit = {**observation(), "identifier": [{"system": UNLISTED, "value": "v 1"}]}
    made = await desk.made_id(visit)
    asked = f"{PUBLIC}/fhir/Observation?identifier={UNLISTED}%7Cv+1&_format=json"
    found = await desk.post(visit, if_none_exist=asked)
    assert (found.status_code, decoded(found)["id"]) == (200, made)
    answer = await desk.transact(entry("POST", "Observation", visit, ifNoneExist=asked))
    assert decoded(answer)["entry"][0]["response"]["location"].startswith(f"Observation/{made}/")
    update = await desk.fhir("PUT", f"/Observation?identifier={UNLISTED}%7Cv+1&_format=json&_pretty=true", visit)
    assert (update.status_code, decoded(update)["id"]) == (200, made)


async def test_a_condition_and_an_id_that_name_two_resources_are_refused(desk: Desk) -> None:
    """FHIR R4 §3.1.0.4.3: else whoever mistook one for the other would overwrite the wrong one."""
    for kind in (lambda one: patient(one, (MRN, one)), lambda one: {**observation(), "identifier": [{"value": one}]}):
        ada, bob = await desk.made_id(kind("ada")), await desk.made_id(kind("bob"))
        type_, identifier = kind("ada")["resourceType"], kind("ada")["identifier"][0]
        query = f"{type_}?identifier={identifier.get('system', '')}|ada"
        body = {**kind("ada"), "language": "de"}
        wrong = await desk.fhir("PUT", f"/{query}", {**body, "id": bob})
        assert (wrong.status_code, issue(wrong)["expression"]) == (400, [f"{type_}.id"])
        wrong = await desk.transact(entry("PUT", query, {**body, "id": bob}))
        assert (wrong.status_code, issue(wrong)["expression"]) == (400, ["Bundle.entry[0].resource.id"])
        assert "language" not in await desk.read(f"/{type_}/{ada}")
        for right in ({**body, "id": ada}, {**body, "id": "local-7"}, body):
            answer = await desk.fhir("PUT", f"/{query}", right)
            assert (answer.status_code, decoded(answer)["id"]) == (200, ada)
        assert (await desk.fhir("DELETE", f"/{type_}/{bob}")).status_code == 204
        assert (await desk.fhir("PUT", f"/{query}", {**body, "id": bob})).status_code == 200, (
            "it names nothing any more"
        )


async def test_update_makes_the_next_version_and_the_same_again_none(desk: Desk) -> None:
    made = await desk.made_id(observation())
    changed = {**observation(), "id": made, "status": "amended"}
    first, second = await put(desk, changed), await put(desk, changed)
    assert [first.status_code, second.status_code] == [200, 200]
    assert [first.headers["etag"], second.headers["etag"]] == ['W/"2"', 'W/"2"']
    assert first.content == second.content


async def test_the_id_of_body_and_url_must_be_one(desk: Desk) -> None:
    made = await desk.made_id(observation())
    for body in ({**observation(), "id": "other"}, observation()):
        answer = await desk.fhir("PUT", f"/Observation/{made}", body)
        assert answer.status_code == 400 and issue(answer)["expression"] == ["Observation.id"]
    answer = await desk.fhir("PUT", f"/Observation/{made}", {**patient("Other"), "id": made})
    assert answer.status_code == 400 and issue(answer)["expression"] == ["resourceType"]
    assert (await desk.read(f"/Observation/{made}"))["meta"]["versionId"] == "1"


async def test_put_to_an_id_that_nobody_gave_is_refused(desk: Desk) -> None:
    answer = await put(desk, {**observation(), "id": "never-given"})
    assert answer.status_code == 405 and issue(answer)["code"] == "not-supported"
    assert desk.counts() == {}


async def test_a_stale_if_match_is_412_and_changes_nothing(desk: Desk) -> None:
    for resource in (patient("Match"), observation()):
        made = await desk.made_id(resource)
        path = f"/{resource['resourceType']}/{made}"
        body = {**resource, "id": made, "language": "de"}
        assert (await put(desk, body, if_match='W/"1"')).status_code == 200
        stale = await put(desk, {**body, "language": "fr"}, if_match='W/"1"')
        assert stale.status_code == 412 and issue(stale)["code"] == "conflict"
        assert (await desk.read(path))["language"] == "de"
        assert (await desk.fhir("DELETE", path, headers={"if-match": 'W/"1"'})).status_code == 412
        assert (await desk.fhir("DELETE", path, headers={"if-match": 'W/"2"'})).status_code == 204


@pytest.mark.parametrize("tag", ["", "3", "*x", 'W/"', '"a" "b"', 'W/"1",W/"2"'])
async def test_an_if_match_that_is_no_etag_is_400(desk: Desk, tag: str) -> None:
    made = await desk.made_id(observation())
    assert (await put(desk, {**observation(), "id": made}, if_match=tag)).status_code == 400


async def test_a_strong_if_match_is_read_too(desk: Desk) -> None:
    made = await desk.made_id(observation())
    assert (await put(desk, {**observation(), "id": made}, if_match='"1"')).status_code == 200


@pytest.mark.parametrize("tag", ['W/"1"', '"1"', "*", 'W/"7", W/"1"', 'W/"7",W/"1"'])
async def test_what_the_caller_has_is_304(desk: Desk, tag: str) -> None:
    made = await desk.made_id(observation())
    answer = await desk.fhir("GET", f"/Observation/{made}", headers={"if-none-match": tag})
    assert answer.status_code == 304 and answer.content == b"" and answer.headers["etag"] == 'W/"1"'


async def test_what_the_caller_does_not_have_is_sent(desk: Desk) -> None:
    made = await desk.made_id(observation())
    answer = await desk.fhir("GET", f"/Observation/{made}", headers={"if-none-match": 'W/"2"'})
    assert answer.status_code == 200
    old = {"if-modified-since": "Sat, 01 Jan 2000 00:00:00 GMT"}
    assert (await desk.fhir("GET", f"/Observation/{made}", headers=old)).status_code == 200
    modified = {"if-modified-since": answer.headers["last-modified"]}
    assert (await desk.fhir("GET", f"/Observation/{made}", headers=modified)).status_code == 304
    for odd in ("yesterday", "Sat, 01 Jan 2000 00:00:00", ""):
        assert (await desk.fhir("GET", f"/Observation/{made}", headers={"if-modified-since": odd})).status_code == 200


@pytest.mark.parametrize("tag", ["*", 'W/"7", W/"1"'])
async def test_an_update_that_may_not_overwrite_is_412_where_there_is_one(desk: Desk, tag: str) -> None:
    """RFC 9110 §13.1.2; in a transaction `ifNoneMatch` says so."""
    unless = {"if-none-match": tag}
    for resource in (
        patient("First", (MRN, "n1")),
        {**observation(), "identifier": [{"system": UNLISTED, "value": "n1"}]},
    ):
        kind, [identifier] = resource["resourceType"], resource["identifier"]
        query = f"{kind}?identifier={identifier['system']}|n1"
        made = await desk.fhir("PUT", f"/{query}", resource, headers=unless)
        assert made.status_code == 201, made.text
        body = {**decoded(made), "language": "de"}
        named = f"{kind}/{body['id']}"
        for path in (f"/{named}", f"/{query}"):
            refused = await desk.fhir("PUT", path, body, headers=unless)
            assert refused.status_code == 412 and issue(refused)["code"] == "conflict"
            assert (await desk.transact(entry("PUT", path, body, ifNoneMatch=tag))).status_code == 412
        assert "language" not in await desk.read(f"/{named}")
        assert (await put(desk, body, if_none_match='W/"7"')).status_code == 200, "it names a version that is not there"
        assert (await desk.fhir("DELETE", f"/{named}")).status_code == 204
        assert (await put(desk, body, if_none_match="*")).status_code == 201, "there is none any more"


async def test_a_read_inside_a_batch_answers_304_for_what_the_caller_has(desk: Desk) -> None:
    made = await desk.made_id(observation())
    answer = await desk.batch(*(entry("GET", f"Observation/{made}", ifNoneMatch=f'W/"{one}"') for one in (1, 2)))
    known, other = decoded(answer)["entry"]
    assert known["response"]["status"] == "304 Not Modified" and "resource" not in known
    assert other["resource"]["id"] == made


@pytest.mark.parametrize("resource", [patient("Gone", (MRN, "gone-1")), observation(None, ("https://x.example", "1"))])
async def test_deleted_is_410_and_put_brings_it_back_as_the_next_version(desk: Desk, resource: dict) -> None:
    kind, made = resource["resourceType"], await desk.made_id(resource)
    path = f"/{kind}/{made}"
    assert (await desk.fhir("DELETE", path)).status_code == 204
    assert (await desk.fhir("DELETE", path)).status_code == 204, "deleting twice is no error"
    gone = await desk.fhir("GET", path)
    assert gone.status_code == 410 and issue(gone)["code"] == "deleted"
    assert await desk.found(f"/{kind}?_id={made}") == []
    [identifier] = resource["identifier"]
    query = f"/{kind}?identifier={identifier['system']}|{identifier['value']}"
    assert await desk.found(query) == []

    back = await put(desk, {**resource, "id": made})
    assert back.status_code == 201 and back.headers["etag"] == 'W/"3"', back.text
    assert [one["id"] for one in await desk.found(query)] == [made]

    versions = decoded(await desk.fhir("GET", f"{path}/_history"))
    assert versions["type"] == "history" and versions["total"] == 3
    assert [one["request"]["method"] for one in versions["entry"]] == ["PUT", "DELETE", "POST"]
    assert ["resource" in one for one in versions["entry"]] == [True, False, True]
    assert [(await desk.fhir("GET", f"{path}/_history/{n}")).status_code for n in (1, 2, 3, 4)] == [200, 410, 200, 404]


async def test_deleting_what_never_was_is_no_error(desk: Desk) -> None:
    assert (await desk.fhir("DELETE", "/Patient/never")).status_code == 204


async def test_an_old_version_is_as_it_was(desk: Desk) -> None:
    made = await desk.made_id(patient("First"))
    await put(desk, {**patient("Second"), "id": made})
    old = decoded(await desk.fhir("GET", f"/Patient/{made}/_history/1"))
    new = decoded(await desk.fhir("GET", f"/Patient/{made}/_history/2"))
    assert [one["name"][0]["family"] for one in (old, new)] == ["First", "Second"]
    assert old["meta"]["versionId"] == "1" and old["meta"]["lastUpdated"] < new["meta"]["lastUpdated"]


@pytest.mark.parametrize("number", ["0", "-1", "abc", "1.0", "9" * 30, "9" * 5000, "²", "%00", "1%2F2"])
async def test_a_version_that_never_was_is_404(desk: Desk, number: str) -> None:
    made = await desk.made_id(observation())
    assert (await desk.fhir("GET", f"/Observation/{made}/_history/{number}")).status_code == 404


async def test_history_is_paged_to_its_end(desk: Desk) -> None:
    made = await desk.made_id(observation())
    for number in range(6):
        await put(desk, {**observation(note=[{"text": f"note {number}"}]), "id": made})
    seen, path = [], f"/fhir/Observation/{made}/_history?_count=3"
    while path:
        page = decoded(await desk.call("GET", path))
        assert page["total"] == 7
        seen += [one["meta"]["versionId"] for one in resources(page)]
        path = link(page, "next")
    assert seen == ["7", "6", "5", "4", "3", "2", "1"]


async def test_a_history_since_a_moment(desk: Desk) -> None:
    """FHIR R4 §3.1.0.9: the versions made at or after the instant, and its links say that it was heeded."""
    made = await desk.made_id(observation())
    for number in range(3):
        await put(desk, {**observation(note=[{"text": f"note {number}"}]), "id": made})
    moments = [one["meta"]["lastUpdated"] for one in resources(await desk.read(f"/Observation/{made}/_history"))]
    seen, path = [], f"/fhir/Observation/{made}/_history?_count=1&_since={moments[1].replace('Z', '+00:00')}"
    while path:
        page = decoded(await desk.call("GET", path))
        assert "_since=" in str(link(page, "self")) and "total" not in page
        seen += [one["meta"]["versionId"] for one in resources(page)]
        path = link(page, "next")
    assert seen == ["4", "3"]
    assert "entry" not in await desk.read(f"/Observation/{made}/_history?_since=9999-01-01")
    assert (await desk.fhir("GET", f"/Observation/{made}/_history?_since=yesterday")).status_code == 400


async def test_a_history_is_not_asked_what_it_would_not_answer(desk: Desk) -> None:
    """All versions are no answer to those at a moment (FHIR R4 §3.1.0.9, `_at`)."""
    path = f"/Observation/{await desk.made_id(observation())}/_history"
    refused = await desk.fhir("GET", f"{path}?_at=1990")
    assert refused.status_code == 400 and "_at" in issue(refused)["diagnostics"]
    assert (await desk.fhir("GET", f"{path}?_sinse=2030&_count=1")).status_code == 400
    assert (await desk.fhir("GET", f"{path}?_at=1990", headers={"prefer": "handling=lenient"})).status_code == 200
    assert (await desk.fhir("GET", f"{path}?_format=json&_pretty=true&_since=2020")).status_code == 200


async def test_a_history_page_may_begin_at_any_version(desk: Desk) -> None:
    made = await desk.made_id(observation())
    for before in ("1001", "123456789"):
        page = await desk.fhir("GET", f"/Observation/{made}/_history?before={before}")
        assert page.status_code == 200 and len(resources(decoded(page))) == 1
    page = await desk.fhir("GET", f"/Observation/{made}/_history?_count=5000")
    assert page.status_code == 200, "a page may hold less than was asked for"
    for odd in ("0", "x", "-1", "9" * 40):
        assert (await desk.fhir("GET", f"/Observation/{made}/_history?before={odd}")).status_code == 400


async def test_unknown_resources_and_types_are_404(desk: Desk) -> None:
    for path in ("/Patient/nobody", "/Patient/nobody/_history", "/Patient/nobody/_history/1", "/Nothing/1", "/Nothing"):
        answer = await desk.fhir("GET", path)
        assert answer.status_code == 404 and issue(answer)["code"] == "not-found", path


async def test_a_stale_body_asserts_only_its_own_differences(desk: Desk) -> None:
    """PUT by id without If-Match: the base is the version that the body names."""
    made = await desk.made_id(patient("Base", gender="female"))
    read = await desk.read(f"/Patient/{made}")
    await put(desk, {**read, "gender": "other"})
    late = await put(desk, {**read, "birthDate": "1981-01-01"})
    assert late.status_code == 200
    now = decoded(late)
    assert (now["gender"], now["birthDate"]) == ("other", "1981-01-01")


async def test_a_body_that_names_a_version_that_never_was_is_400(desk: Desk) -> None:
    made = await desk.made_id(patient("Base"))
    for number in ("9", "9" * 60, "x"):
        answer = await put(desk, {**patient("Other"), "id": made, "meta": {"versionId": number}})
        assert answer.status_code == 400, number


async def test_removing_an_element_by_put_removes_it(desk: Desk) -> None:
    made = await desk.made_id(patient("Remove", gender="female", telecom=[{"system": "phone", "value": "+1 555 0100"}]))
    read = await desk.read(f"/Patient/{made}")
    del read["telecom"]
    now = decoded(await put(desk, read))
    assert "telecom" not in now and now["gender"] == "female"


async def test_a_security_label_stays_though_a_later_body_lacks_it(desk: Desk) -> None:
    """Who leaves it out need not know it: FHIR R4 §2.26, as of a Patient."""
    restricted = {"system": "http://terminology.hl7.org/CodeSystem/v3-Confidentiality", "code": "R"}
    labels = [restricted, {"display": "VIP"}]
    bare = observation(None, (UNLISTED, "1"), status="amended")
    made = await desk.made_id({**bare, "status": "final", "meta": {"security": labels}})
    first, second = await put(desk, {**bare, "id": made}), await put(desk, {**bare, "id": made})
    assert decoded(first)["meta"]["security"] == labels and decoded(first)["status"] == "amended"
    assert second.content == first.content, "and is no new version for itself"
    other = desk.add_key("other", "other")
    more = {**bare, "meta": {"security": [{"display": "VIP"}, {"display": "Staff"}]}}
    for _ in range(2):
        answer = await desk.fhir("PUT", f"/Observation?identifier={UNLISTED}|1", more, key=other)
        assert answer.status_code == 200, answer.text
    now = (await desk.read(f"/Observation/{made}"))["meta"]
    assert now["versionId"] == "3"
    assert now["security"] == [restricted, *more["meta"]["security"]]


async def test_labels_in_words_only_are_told_apart(desk: Desk) -> None:
    made = await desk.made_id(patient("Known", (MRN, "1"), meta={"security": [{"display": "Restricted"}]}))
    answer = await desk.post(patient("Known", (MRN, "1"), meta={"security": [{"display": "VIP"}]}))
    assert decoded(answer)["id"] == made
    assert [one["display"] for one in decoded(answer)["meta"]["security"]] == ["Restricted", "VIP"]


async def test_two_clients_in_turn_both_get_what_they_put(desk: Desk) -> None:
    """A client that puts back what it had put before somebody else's edit means it: it names the current version."""
    other = desk.add_key("other", "other")
    made = await desk.made_id(observation())
    first = {**observation(), "id": made, "status": "final"}
    second = {**observation(), "id": made, "status": "amended"}
    assert (await put(desk, first)).status_code == 200
    await desk.fhir("PUT", f"/Observation/{made}", second, key=other)
    answer = await put(desk, first, if_match='W/"2"')
    assert decoded(answer)["status"] == "final" and answer.headers["etag"] == 'W/"3"'


async def test_the_same_for_a_patient(desk: Desk) -> None:
    other = desk.add_key("other", "other")
    made = await desk.made_id(patient("Turn", gender="female"))
    body = {**patient("Turn", gender="male"), "id": made}
    await desk.fhir("PUT", f"/Patient/{made}", body, key=other, headers={"if-match": 'W/"1"'})
    back = await put(desk, {**patient("Turn", gender="female"), "id": made}, if_match='W/"2"')
    assert decoded(back)["gender"] == "female"


@pytest.mark.parametrize(
    "accept",
    [
        "application/fhir+xml",
        "application/fhir+json; fhirVersion=5.0",
        "application/fhir+json;fhirVersion=3.0, text/xml",
        "application/fhir+json;q=0, application/fhir+xml",
        "*/*; q=0.000",
    ],
)
async def test_no_answer_in_another_format_or_release(desk: Desk, accept: str) -> None:
    made = await desk.made_id(observation())
    refused = await desk.fhir("GET", f"/Observation/{made}", headers={"accept": accept})
    assert refused.status_code == 406 and issue(refused)["code"] == "not-supported"
    assert (await desk.fhir("GET", f"/Observation/{made}?_format=xml")).status_code == 406


@pytest.mark.parametrize(
    "accept",
    [
        "application/json",
        "*/*",
        "text/html, application/fhir+json;q=0.5",
        "application/fhir+xml;q=1.0, application/fhir+json; fhirVersion=4.0; q=0.01",
        'application/fhir+json;fhirVersion="4.0"',
        "application/fhir+json;fhirVersion=3.0, application/fhir+json;fhirVersion=4.0",
    ],
)
async def test_whoever_takes_json_of_r4_too_gets_it(desk: Desk, accept: str) -> None:
    made = await desk.made_id(observation())
    assert (await desk.fhir("GET", f"/Observation/{made}", headers={"accept": accept})).status_code == 200
    path = f"/Observation/{made}?_format=application/fhir%2Bjson"
    assert (await desk.fhir("GET", path, headers={"accept": "application/fhir+xml"})).status_code == 200


async def test_a_body_of_another_release_is_415(desk: Desk) -> None:
    """What a resource means differs between releases, though it may look right."""
    for version, status in (("3.0", 415), ("4.3", 415), ("4.0", 201), ('"4.0"', 201)):
        answer = await desk.fhir("POST", "/Observation", observation(), kind=f"{FHIR}; fhirVersion={version}")
        assert answer.status_code == status, version
    assert desk.counts()["Observation"] == 2


async def test_head_is_answered_like_get(desk: Desk) -> None:
    """FHIR R4 §3.1.0.1.10: HEAD where GET is."""
    made = await desk.made_id(observation())
    read = await desk.fhir("GET", f"/Observation/{made}")
    head = await desk.fhir("HEAD", f"/Observation/{made}")
    assert head.status_code == 200 and head.headers["etag"] == read.headers["etag"]
    for path in ("/metadata", "/Observation", f"/Observation/{made}/_history", f"/Observation/{made}/_history/1"):
        assert (await desk.fhir("HEAD", path)).status_code == 200, path
    assert (await desk.fhir("HEAD", "/Observation/nothing")).status_code == 404


async def test_what_an_address_does_not_do_is_405_with_what_it_does(desk: Desk) -> None:
    made = await desk.made_id(observation())
    answer = await desk.fhir("PATCH", f"/Observation/{made}", {**observation(), "id": made})
    assert answer.status_code == 405 and issue(answer)["code"] == "not-supported"
    assert answer.headers["allow"] == "DELETE, GET, HEAD, PUT"
    unnamed = await desk.fhir("DELETE", "/Observation")
    assert (unnamed.status_code, unnamed.headers["allow"]) == (405, "GET, HEAD, POST, PUT")
    nowhere = await desk.transact(entry("PUT", "Observation/never-given", {**observation(), "id": "never-given"}))
    assert nowhere.status_code == 405 and "allow" not in nowhere.headers, "POST is done there"
    assert (await desk.fhir("GET", "")).headers["allow"] == "POST"
    unknown = await put(desk, {**observation(), "id": "never-given"})
    assert (unknown.status_code, unknown.headers["allow"]) == (405, "DELETE, GET, HEAD")


async def test_an_address_may_end_in_a_slash(desk: Desk) -> None:
    """`PUT [base]/[type]/?[search parameters]` (FHIR R4 §3.1.0.4.3), `DELETE` alike (§3.1.0.7.1)."""
    visit = {**observation(), "identifier": [{"system": UNLISTED, "value": "v1"}]}
    path = f"/Observation/?identifier={UNLISTED}|v1"
    made = decoded(await desk.fhir("PUT", path, visit))["id"]
    assert [one["id"] for one in await desk.found(path)] == [made]
    for same in (f"/Observation/{made}/", f"/Observation/{made}/_history/1/"):
        assert (await desk.read(same))["id"] == made
    said = await desk.transact(entry("PUT", path[1:], visit), entry("GET", f"Observation/{made}/"))
    assert [one["response"]["status"] for one in decoded(said)["entry"]] == ["200 OK", "200 OK"]
    assert (await desk.fhir("GET", "/metadata/")).status_code == 200
    assert (await desk.fhir("DELETE", "/Observation/")).status_code == 405
    assert (await desk.fhir("DELETE", path)).status_code == 204
    assert await desk.found("/Observation") == []
    for odd in ("/Observation//", f"/Observation//{made}", "/Observation/1/_history//"):
        assert (await desk.fhir("GET", odd)).status_code == 404, odd


async def test_what_is_not_conformant_is_refused_with_its_place(desk: Desk) -> None:
    answer = await desk.post({**patient("Bad"), "birthDate": "1980-02-30"})
    assert answer.status_code == 422 and issue(answer)["expression"] == ["Patient.birthDate"]
    answer = await desk.post({**patient("Bad"), "gender": "w"})
    assert answer.status_code == 422 and issue(answer)["expression"] == ["Patient.gender"]
    assert desk.counts() == {} and desk.messages() == []


async def test_metadata_needs_no_key_and_names_what_is_there(desk: Desk) -> None:
    answer = await desk.fhir("GET", "/metadata", key="")
    assert answer.status_code == 200
    statement = decoded(answer)
    kinds = {one["type"]: one for one in statement["rest"][0]["resource"]}
    assert statement["fhirVersion"] == "4.0.1" and statement["implementation"]["url"] == f"{PUBLIC}/fhir"
    assert {one["code"] for one in kinds["Patient"]["interaction"]} >= {"read", "vread", "create", "update", "delete"}
    searched = {kind: {one["name"] for one in said["searchParam"]} for kind, said in kinds.items()}
    assert searched["Patient"] == {"_id", "_lastUpdated", "identifier"}
    assert searched["Binary"] == {"_id", "_lastUpdated"}, "it has no identifier"
    assert searched["Task"] == searched["Observation"] == {"_id", "_lastUpdated", "identifier", "patient", "subject"}
    assert searched["Coverage"] == {"_id", "_lastUpdated", "identifier", "patient"}
    told = {one["name"]: one["documentation"] for one in kinds["Appointment"]["searchParam"] if "documentation" in one}
    assert "_sort" in told["_lastUpdated"]


async def test_every_search_that_is_claimed_finds_by_what_it_asks(desk: Desk) -> None:
    statement = decoded(await desk.fhir("GET", "/metadata"))
    asked = {"_id": "none", "_lastUpdated": "lt1990", "identifier": "none", "patient": "none", "subject": "none"}
    made = await desk.made_id(patient("Asked"))
    task = {"resourceType": "Task", "status": "draft", "intent": "order", "for": {"reference": f"Patient/{made}"}}
    for resource in (task, observation(f"Patient/{made}")):
        await desk.made_id(resource)
        for name in ("patient", "subject"):
            assert len(await desk.found(f"/{resource['resourceType']}?{name}={made}")) == 1
    strict = {"prefer": "handling=strict"}
    for said in statement["rest"][0]["resource"]:
        for param in said["searchParam"]:
            path = f"/{said['type']}?{param['name']}={asked[param['name']]}"
            answer = await desk.fhir("GET", path, headers=strict)
            assert answer.status_code == 200 and resources(decoded(answer)) == [], path
