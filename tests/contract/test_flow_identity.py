"""Who is meant, on both databases: one Patient for one identity, however many come at once; two for two people.

docs/explain/architecture.md, "Who is meant: identifiers".
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from pathlib import Path
from typing import Any

import httpx
import pytest

from gateway.fhir.json import Resource
from tests.e2e.desk import CLINIC_MRN, MRN, OURS, UNLISTED, Desk, decoded, entry, issue, observation, opened, patient

pytestmark = pytest.mark.anyio

SSN = "http://hl7.org/fhir/sid/us-ssn"
EXAMPLE_ARC = "urn:oid:2.16.840.1.113883.19.5"
MANY = 32


@pytest.fixture
async def desk(database: str, tmp_path: Path, anyio_backend: str) -> AsyncIterator[Desk]:
    async with opened(tmp_path, database) as desk:
        yield desk


@pytest.fixture
async def desks(database: str, tmp_path: Path, anyio_backend: str) -> AsyncIterator[tuple[Desk, Desk]]:
    """Two gateways on one database."""
    async with opened(tmp_path, database) as one, opened(tmp_path, database) as two:
        two.key = one.key
        yield one, two


def stranger(*identifiers: tuple[str, str]) -> Resource:
    """Agrees with nobody."""
    return patient("Zed", *identifiers, name=[{"family": "Zed", "given": ["Zoe"]}], birthDate="1950-05-05")


async def test_a_bare_post_of_a_known_key_is_that_patient(desk: Desk) -> None:
    made = await desk.made_id(patient("Known", (MRN, "1"), gender="female"))
    answer = await desk.post(patient("Known", (MRN, "1"), telecom=[{"system": "phone", "value": "+1 555 0100"}]))
    assert answer.status_code == 200
    assert answer.headers["location"].endswith(f"/fhir/Patient/{made}/_history/2")
    now = decoded(answer)
    assert now["id"] == made and now["telecom"][0]["value"] == "+1 555 0100"
    assert desk.counts()["Patient"] == 1


async def test_what_a_statement_leaves_out_that_others_said_stays(desk: Desk) -> None:
    other = desk.add_key("other", "other")
    made = await desk.made_id(patient("Known", (MRN, "1"), gender="female"))
    body = patient("Known", (MRN, "1"), maritalStatus={"text": "married"})
    answer = await desk.fhir("POST", "/Patient", body, key=other)
    assert decoded(answer)["id"] == made and decoded(answer)["gender"] == "female"
    again = await desk.fhir("POST", "/Patient", patient("Known", (MRN, "1")), key=other)
    assert "maritalStatus" not in decoded(again) and decoded(again)["gender"] == "female", "it takes back its own"


async def test_another_spelling_of_a_key_is_the_same_key(desk: Desk) -> None:
    made = await desk.made_id(patient("Known", (CLINIC_MRN, "A 1")))
    for system, value in (("HTTPS://Clinic.Example/mrn", "A 1"), (CLINIC_MRN, " A  1 ")):
        answer = await desk.post(patient("Known", (system, value)))
        assert (answer.status_code, decoded(answer)["id"]) == (200, made)


async def test_our_own_identifier_names_its_patient(desk: Desk) -> None:
    made = await desk.made_id(patient("Ours"))
    answer = await desk.post(patient("Ours", (OURS, made), gender="female"))
    assert (answer.status_code, decoded(answer)["id"]) == (200, made)


async def test_a_contradiction_is_held(desk: Desk) -> None:
    made = await desk.made_id(patient("Holder", (MRN, "1")))
    before = desk.sequence()
    answer = await desk.post(stranger((MRN, "1")))
    assert answer.status_code == 409 and issue(answer)["code"] == "conflict"
    assert f"Patient/{made}" in issue(answer)["diagnostics"]
    assert desk.sequence() == before
    [held] = desk.messages("held")
    assert held.connector == "app" and b"Zed" in held.body


async def test_a_son_under_the_number_of_his_father_of_the_same_name_is_held(desk: Desk) -> None:
    father = {"family": "Ford", "given": ["John"], "suffix": ["Sr"]}
    await desk.made_id(patient("Ford", (MRN, "1"), name=[father], birthDate="1950-01-01"))
    son = patient("Ford", (MRN, "1"), name=[{**father, "suffix": ["Jr"]}])
    assert (await desk.post(son)).status_code == 409
    assert len(desk.messages("held")) == 1


async def test_half_a_contradiction_is_none(desk: Desk) -> None:
    made = await desk.made_id(patient("Maiden", (MRN, "1")))
    married = await desk.post(patient("Married", (MRN, "1")))
    assert decoded(married)["id"] == made, "the birth date agrees"
    typo = await desk.post(patient("Married", (MRN, "1"), birthDate="1980-02-23"))
    assert decoded(typo)["id"] == made, "the name agrees"


async def test_several_patients_are_412_naming_them(desk: Desk) -> None:
    one, two = await desk.made_id(patient("Both", (MRN, "1"))), await desk.made_id(patient("Both", (CLINIC_MRN, "2")))
    before = desk.sequence()
    answer = await desk.post(patient("Both", (MRN, "1"), (CLINIC_MRN, "2")))
    assert answer.status_code == 412 and issue(answer)["code"] == "multiple-matches"
    assert all(f"Patient/{made}" in issue(answer)["diagnostics"] for made in (one, two))
    assert desk.sequence() == before and desk.messages("held") == []


async def test_an_edit_by_id_takes_nobodys_key(desk: Desk) -> None:
    one, two = await desk.made_id(patient("One", (MRN, "1"))), await desk.made_id(patient("Two", (MRN, "2")))
    before = desk.sequence()
    for taken in ((MRN, "1"), (OURS, one)):
        answer = await desk.fhir("PUT", f"/Patient/{two}", {**patient("Two", (MRN, "2"), taken), "id": two})
        assert answer.status_code == 412 and issue(answer)["code"] == "multiple-matches"
        assert all(f"Patient/{made}" in issue(answer)["diagnostics"] for made in (one, two))
    assert desk.sequence() == before
    own = {**patient("Two", (MRN, "2"), (CLINIC_MRN, "2"), (OURS, two), gender="female"), "id": two}
    assert (await desk.fhir("PUT", f"/Patient/{two}", own)).status_code == 200


SHARED: list[Resource] = [
    {"system": SSN, "value": "123-45-6789"},
    {"system": "urn:oid:2.16.840.1.113883.4.1", "value": "123-45-6789"},
    {"system": EXAMPLE_ARC, "value": "998991"},
    {"system": MRN, "value": "0000000"},
    {"system": MRN, "value": "UNKNOWN"},
    {"system": MRN, "value": "A-1", "use": "old"},
    {"system": MRN, "value": "A-1", "use": "temp"},
    {
        "system": MRN,
        "value": "M-1",
        "type": {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v2-0203", "code": "MB"}]},
    },
    {"system": "tel:", "value": "+15550100"},
    {"system": MRN, "value": "family@mail.example"},
    {"value": "A-1"},
    {"system": UNLISTED, "value": "family-insurance-7"},
]


@pytest.mark.parametrize("identifier", SHARED, ids=lambda one: f"{one.get('system', 'none')[-12:]}-{one['value'][-8:]}")
async def test_two_people_who_share_a_number_that_is_no_key_stay_two(desk: Desk, identifier: Resource) -> None:
    """Twins: born on one day, of one family."""
    one = await desk.post(patient("Twin", identifier=[identifier]))
    two = await desk.post(patient("Twin", identifier=[identifier], name=[{"family": "Twin", "given": ["Bea"]}]))
    assert (one.status_code, two.status_code) == (201, 201)
    assert decoded(one)["id"] != decoded(two)["id"]


async def test_an_unlisted_system_decides_only_with_name_and_birth_date(desk: Desk) -> None:
    made = await desk.made_id(patient("Same", (UNLISTED, "1")))
    same = await desk.post(patient("Same", (UNLISTED, "1"), gender="female"))
    assert (same.status_code, decoded(same)["id"]) == (200, made)
    for other in (
        patient("Same", (UNLISTED, "1"), birthDate="1980-02-23"),
        patient("Same", (UNLISTED, "1"), birthDate=None),
        patient("Else", (UNLISTED, "1")),
    ):
        answer = await desk.post(other)
        assert answer.status_code == 201, answer.text


async def test_newborns_without_a_name_yet_are_not_joined_by_a_number_that_nobody_listed(desk: Desk) -> None:
    """Twins share the family name, the birth date and their mother's insurance number."""
    girl, boy = (
        patient("Twin", (UNLISTED, "insured"), name=[{"family": "Twin", "given": [given]}])
        for given in ("Baby Girl", "Baby Boy")
    )
    assert await desk.made_id(girl) != await desk.made_id(boy)


async def test_an_unlisted_system_joins_nobody_whom_a_key_system_tells_apart(desk: Desk) -> None:
    """Twins of like names with one insurance number: a key system that gave each a number of their own knows better."""
    ann = patient("Twin", (MRN, "1"), (UNLISTED, "insured"), name=[{"family": "Twin", "given": ["Ann"]}])
    anna = patient("Twin", (MRN, "2"), (UNLISTED, "insured"), name=[{"family": "Twin", "given": ["Anna"]}])
    made, other = await desk.made_id(ann), await desk.made_id(anna)
    assert [decoded(await desk.post(one))["id"] for one in (ann, anna)] == [made, other]
    pair = [
        {**one, "identifier": [{**one["identifier"][0], "system": CLINIC_MRN}, {"system": UNLISTED, "value": "2"}]}
        for one in (ann, anna)
    ]
    answer = await desk.transact(*[entry("POST", "Patient", one) for one in pair])
    assert answer.status_code == 200 and desk.counts()["Patient"] == 4


async def test_a_transaction_does_not_make_two_of_one_whom_an_unlisted_identifier_would_have_joined(desk: Desk) -> None:
    one = entry("POST", "Patient", patient("Guest", (UNLISTED, "7")))
    twin = entry("POST", "Patient", patient("Guest", (UNLISTED, "7"), name=[{"family": "Guest", "given": ["Bea"]}]))
    answer = await desk.transact(one, twin, one)
    assert answer.status_code == 400 and issue(answer)["expression"] == ["Bundle.entry[2].resource"]
    assert desk.counts() == {}
    assert (await desk.transact(one, twin)).status_code == 200
    assert (await desk.batch(one, twin)).status_code == 200
    assert desk.counts()["Patient"] == 2


async def test_demographics_alone_link_nobody(desk: Desk) -> None:
    for _ in range(2):
        assert (await desk.post(patient("Alone"))).status_code == 201
    assert desk.counts()["Patient"] == 2


async def test_the_callers_condition_decides_whatever_the_system(desk: Desk) -> None:
    family = f"identifier={UNLISTED}|family-7"
    made = await desk.made_id(patient("Twin", (UNLISTED, "family-7")))
    other = patient("Twin", (UNLISTED, "family-7"), name=[{"family": "Twin", "given": ["Bea"]}])
    answer = await desk.fhir("PUT", f"/Patient?{family}", other)
    assert answer.status_code == 200 and decoded(answer)["id"] == made, "the caller said so"
    answer = await desk.post(other, if_none_exist=family)
    assert answer.status_code == 200 and decoded(answer)["id"] == made


async def test_a_condition_that_contradicts_a_key_is_412(desk: Desk) -> None:
    one = await desk.made_id(patient("One", (MRN, "1"), (UNLISTED, "c")))
    two = await desk.made_id(patient("Two", (MRN, "2")))
    answer = await desk.fhir("PUT", f"/Patient?identifier={UNLISTED}|c", patient("Two", (MRN, "2"), (UNLISTED, "c")))
    assert answer.status_code == 412
    assert all(f"Patient/{made}" in issue(answer)["diagnostics"] for made in (one, two))


async def test_a_condition_that_several_fit_is_412(desk: Desk) -> None:
    for family in ("One", "Two"):
        await desk.made_id(patient(family, (UNLISTED, "both")))
    before = desk.sequence()
    condition = f"identifier={UNLISTED}|both"
    for answer in (
        await desk.fhir("PUT", f"/Patient?{condition}", patient("Three", (UNLISTED, "both"))),
        await desk.post(patient("Three"), if_none_exist=condition),
        await desk.fhir("DELETE", f"/Patient?{condition}"),
    ):
        assert answer.status_code == 412 and issue(answer)["code"] == "multiple-matches"
    assert desk.sequence() == before


async def test_a_conditional_delete_heeds_if_match(desk: Desk) -> None:
    for resource in (observation(None, (UNLISTED, "1")), patient("Match", (UNLISTED, "1"))):
        made = await desk.made_id(resource)
        path = f"/{resource['resourceType']}?identifier={UNLISTED}|1"
        assert (await desk.fhir("DELETE", path, headers={"if-match": 'W/"7"'})).status_code == 412
        assert (await desk.read(f"/{resource['resourceType']}/{made}"))["id"] == made
        assert (await desk.fhir("DELETE", path, headers={"if-match": 'W/"1"'})).status_code == 204


async def test_conditional_delete_deletes_the_one(desk: Desk) -> None:
    made = await desk.made_id(observation(None, (UNLISTED, "1")))
    kept = await desk.made_id(observation(None, (UNLISTED, "2")))
    assert (await desk.fhir("DELETE", f"/Observation?identifier={UNLISTED}|1")).status_code == 204
    assert (await desk.fhir("DELETE", f"/Observation?identifier={UNLISTED}|1")).status_code == 204
    assert (await desk.fhir("GET", f"/Observation/{made}")).status_code == 410
    assert (await desk.fhir("GET", f"/Observation/{kept}")).status_code == 200
    assert (await desk.fhir("DELETE", "/Observation")).status_code == 405, "never everything"
    assert (await desk.fhir("DELETE", "/Observation?_lastUpdated=gt1990")).status_code == 400


@pytest.mark.parametrize(
    "query", ["name=Ada", "identifier=a,b", "identifier=", f"identifier={MRN}|", "identifier=a&_id=b"]
)
async def test_a_condition_that_cannot_be_unique_is_refused(desk: Desk, query: str) -> None:
    assert (await desk.fhir("PUT", f"/Patient?{query}", patient("No"))).status_code == 400
    assert (await desk.post(patient("No"), if_none_exist=query)).status_code == 400
    assert (await desk.post(patient("No"), if_none_exist="")).status_code == 400
    assert desk.counts() == {}


async def test_after_a_delete_the_same_condition_makes_a_new_resource(desk: Desk) -> None:
    condition = f"identifier={UNLISTED}|x"
    for body in (observation(None, (UNLISTED, "x")), observation(), patient("X", (UNLISTED, "x")), patient("X")):
        path = f"/{body['resourceType']}"
        first = await desk.made_id(body, if_none_exist=condition)
        assert (await desk.fhir("DELETE", f"{path}/{first}")).status_code == 204
        nobody = {"hasMember": [{"reference": f"{path[1:]}?{condition}"}]}
        assert (await desk.post(observation(**nobody))).status_code in (400, 422), "it is gone"
        second = await desk.post(body, if_none_exist=condition)
        assert second.status_code == 201 and decoded(second)["id"] != first, body
        again = await desk.fhir("PUT", f"{path}?{condition}", body)
        assert again.status_code == 200 and decoded(again)["id"] == decoded(second)["id"]
        await desk.fhir("DELETE", f"{path}/{decoded(second)['id']}")


async def test_a_deleted_patient_is_not_made_again_by_a_key(desk: Desk) -> None:
    made = await desk.made_id(patient("Gone", (MRN, "1")))
    await desk.fhir("DELETE", f"/Patient/{made}")
    answer = await desk.post(patient("Gone", (MRN, "1")))
    assert answer.status_code == 409 and "was deleted" in issue(answer)["diagnostics"]
    assert len(desk.messages("held")) == 1


Post = Callable[[Desk, int], Coroutine[Any, Any, httpx.Response]]

WAYS: dict[str, Post] = {
    "listed system": lambda desk, n: desk.post(patient("New", (MRN, "new"), language="de")),
    "unlisted system": lambda desk, n: desk.post(patient("New", (UNLISTED, "new"))),
    "conditional create": lambda desk, n: desk.post(
        patient("New", (UNLISTED, "new"), birthDate=None), if_none_exist=f"identifier={UNLISTED}|new"
    ),
    "conditional PUT": lambda desk, n: desk.fhir(
        "PUT", f"/Patient?identifier={UNLISTED}|new", patient(f"New{n}", (UNLISTED, "new"), birthDate=None)
    ),
    "in a transaction": lambda desk, n: desk.transact(
        entry("PUT", f"Patient?identifier={MRN}|new", patient("New", (MRN, "new"))),
        entry("POST", "Observation", observation(f"Patient?identifier={MRN}|new"))
        if n < 0
        else entry("POST", "Observation", observation()),
    ),
    "in a batch": lambda desk, n: desk.batch(entry("POST", "Patient", patient("New", (MRN, "new")))),
}


@pytest.mark.parametrize("way", WAYS)
async def test_many_at_once_make_one_patient(desk: Desk, way: str) -> None:
    answers = await asyncio.gather(*[WAYS[way](desk, n) for n in range(MANY)])
    assert all(one.status_code in (200, 201) for one in answers), {one.status_code for one in answers}
    assert desk.counts()["Patient"] == 1
    if way not in ("in a transaction", "in a batch"):
        assert [one.status_code for one in answers].count(201) == 1
        assert len({decoded(one)["id"] for one in answers}) == 1


@pytest.mark.parametrize("way", WAYS)
async def test_two_gateways_at_once_make_one_patient(desks: tuple[Desk, Desk], way: str) -> None:
    answers = await asyncio.gather(*[WAYS[way](desks[n % 2], n) for n in range(MANY)])
    assert all(one.status_code in (200, 201) for one in answers), [one.text for one in answers if one.status_code > 201]
    assert desks[0].counts()["Patient"] == 1


async def test_many_conditional_creates_at_once_make_one_observation(desks: tuple[Desk, Desk]) -> None:
    condition = f"identifier={UNLISTED}|obs"
    body = observation(None, (UNLISTED, "obs"))
    calls = [desks[n % 2].post(body, if_none_exist=condition) for n in range(MANY)]
    answers = await asyncio.gather(*calls)
    assert sorted({one.status_code for one in answers}) == [200, 201]
    assert desks[0].counts()["Observation"] == 1


async def test_many_updates_at_once_lose_none(desk: Desk) -> None:
    made = await desk.made_id(patient("Busy"))
    extensions = [{"url": f"https://x.example/{n}", "valueInteger": n} for n in range(MANY)]

    async def add(extension: Resource) -> None:
        while True:
            read = await desk.fhir("GET", f"/Patient/{made}")
            body = decoded(read)
            body["extension"] = [*body.get("extension", []), extension]
            answer = await desk.fhir("PUT", f"/Patient/{made}", body, headers={"if-match": read.headers["etag"]})
            if answer.status_code == 200:
                return
            assert answer.status_code == 412

    await asyncio.gather(*[add(one) for one in extensions[:8]])
    now = await desk.read(f"/Patient/{made}")
    assert {one["valueInteger"] for one in now["extension"]} == set(range(8))
    assert now["meta"]["versionId"] == "9"
