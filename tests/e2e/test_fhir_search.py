"""Search: parameters, token forms, paging, and what is refused (FHIR R4 §3.1.1)."""

from __future__ import annotations

from urllib.parse import quote

import pytest

from gateway import reading

from .desk import MRN, OURS, PUBLIC, UNLISTED, Desk, decoded, entry, issue, link, observation, patient, resources

pytestmark = pytest.mark.anyio

FORM = "application/x-www-form-urlencoded"


async def ids(desk: Desk, path: str) -> list[str]:
    return [one["id"] for one in await desk.found(path)]


async def test_the_token_forms_of_an_identifier(desk: Desk) -> None:
    listed = await desk.made_id(patient("Listed", (MRN, "A-1")))
    bare = await desk.made_id(patient("Bare", identifier=[{"value": "A-1"}]))
    other = await desk.made_id(patient("Other", (UNLISTED, "A-1")))
    await desk.made_id(patient("Nobody", (MRN, "B-2")))
    assert await ids(desk, f"/Patient?identifier={MRN}|A-1") == [listed]
    assert await ids(desk, f"/Patient?identifier={quote(MRN + '|A-1')}") == [listed]
    assert await ids(desk, "/Patient?identifier=|A-1") == [bare]
    assert sorted(await ids(desk, "/Patient?identifier=A-1")) == sorted([listed, bare, other])
    assert sorted(await ids(desk, f"/Patient?identifier={MRN}|A-1,{UNLISTED}|A-1")) == sorted([listed, other])
    assert await ids(desk, f"/Patient?identifier={MRN}|A-1&identifier=A-1") == [listed]
    assert await ids(desk, f"/Patient?identifier={MRN}|A-1&identifier={UNLISTED}|A-1") == []
    assert await ids(desk, f"/Patient?identifier={MRN}|a-1") == [], "a value is case sensitive"
    assert await ids(desk, f"/Patient?identifier={MRN}|nothing") == []


async def test_a_comma_and_a_bar_inside_a_value_are_escaped(desk: Desk) -> None:
    made = await desk.made_id(patient("Odd", (UNLISTED, "a,b|c\\d $")))
    odd = quote("a\\,b\\|c\\\\d $", safe="")
    assert await ids(desk, f"/Patient?identifier={UNLISTED}|{odd}") == [made]


@pytest.mark.parametrize("value", ["", "|", f"{MRN}|", "a|b|c", "%00", "a%00b", "%ff%fe", "%ED%A0%80", "%0a"])
async def test_what_would_find_all_or_cannot_be_read_is_400(desk: Desk, value: str) -> None:
    answer = await desk.fhir("GET", f"/Patient?identifier={value}")
    assert answer.status_code == 400 and issue(answer)["code"] == "invalid"


async def test_by_id_and_by_patient(desk: Desk) -> None:
    ada, bob = await desk.made_id(patient("A")), await desk.made_id(patient("B"))
    pulse = await desk.made_id(observation(f"Patient/{ada}", ("https://x.example", "1")))
    other = await desk.made_id(observation(f"Patient/{bob}", ("https://x.example", "2")))
    await desk.made_id(observation())
    assert await ids(desk, f"/Observation?_id={pulse},{other},nothing") == [pulse, other]
    assert await ids(desk, f"/Observation?_id={pulse}&_id={other}") == []
    for name in (ada, f"Patient/{ada}", f"{PUBLIC}/fhir/Patient/{ada}"):
        assert await ids(desk, f"/Observation?patient={name}") == [pulse]
        assert await ids(desk, f"/Observation?subject={name}") == [pulse]
        assert await ids(desk, f"/Observation?subject:Patient={name}&patient:Patient={name}") == [pulse]
    assert await ids(desk, f"/Observation?patient={ada},{bob}") == [pulse, other]
    assert await ids(desk, f"/Observation?patient={ada}&identifier=https://x.example|2") == []
    assert await ids(desk, f"/Observation?patient={ada}&identifier=https://x.example|1&_id={pulse}") == [pulse]
    assert await ids(desk, "/Observation?patient=nobody") == []


async def test_what_two_patients_share_is_found_under_each(desk: Desk) -> None:
    """FHIR R4, SearchParameter/Appointment-patient: any participant that is a Patient."""
    ada, bob, eve = [await desk.made_id(patient(name)) for name in ("A", "B", "E")]
    both = [{"actor": {"reference": f"Patient/{one}"}, "status": "accepted"} for one in (ada, bob)]
    couple = {"resourceType": "Appointment", "status": "proposed", "participant": both}
    made = await desk.made_id(couple)
    alone = await desk.made_id({**couple, "participant": both[:1]})
    assert await ids(desk, f"/Appointment?patient={ada}&_sort=-_lastUpdated") == [alone, made]
    assert await ids(desk, f"/Appointment?patient={bob}") == [made]
    assert await ids(desk, f"/Appointment?patient={ada},{bob},{eve}") == [made, alone]
    assert await ids(desk, f"/Appointment?patient={ada}&patient={eve}") == []
    assert decoded(await desk.fhir("GET", f"/Appointment?patient={bob}&_total=accurate&_count=1"))["total"] == 1
    changed = {**couple, "id": made, "participant": [both[0], {**both[0], "actor": {"reference": f"Patient/{eve}"}}]}
    assert (await desk.fhir("PUT", f"/Appointment/{made}", changed)).status_code == 200
    assert await ids(desk, f"/Appointment?patient={bob}") == [], "he is no participant any more"
    assert await ids(desk, f"/Appointment?patient={eve}") == [made]
    assert (await desk.fhir("PUT", f"/Appointment/{made}", {**changed, "participant": both[1:]})).status_code == 200
    assert await ids(desk, f"/Appointment?patient={bob}") == [made]
    assert await ids(desk, f"/Appointment?patient={eve}") == []
    assert (await desk.fhir("DELETE", f"/Appointment/{made}")).status_code == 204
    assert await ids(desk, f"/Appointment?patient={bob}") == []


async def test_the_provenance_of_a_message_about_two_is_found_under_each(desk: Desk) -> None:
    named = [patient(name, (MRN, name)) for name in ("A", "B")]
    assert (await desk.transact(*[entry("POST", "Patient", one) for one in named])).status_code == 200
    both = [one["id"] for one in await desk.found("/Patient")]
    [first], [second] = [await ids(desk, f"/Provenance?patient={one}") for one in both]
    assert first == second


async def test_our_own_identifier_is_what_others_know_our_resources_by(desk: Desk) -> None:
    ada, bob = await desk.made_id(patient("A", (MRN, "a"))), await desk.made_id(patient("B", (MRN, "b")))
    own = f"{OURS}|{ada}"
    assert await ids(desk, f"/Patient?identifier={own}") == [ada]
    assert await ids(desk, f"/Patient?identifier={own}&identifier={MRN}|a") == [ada]
    assert await ids(desk, f"/Patient?identifier={MRN}|a&identifier={own}") == [ada]
    assert await ids(desk, f"/Patient?identifier={own}&identifier={MRN}|b") == []
    assert sorted(await ids(desk, f"/Patient?identifier={own},{MRN}|b")) == sorted([ada, bob])
    assert await ids(desk, f"/Patient?identifier={own}&_id={bob}") == []
    assert await ids(desk, f"/Patient?identifier={OURS}|nobody") == []
    pulse = decoded(await desk.post(observation(f"Patient?identifier={own}")))
    assert pulse["subject"] == {"reference": f"Patient/{ada}"}
    again = await desk.fhir("PUT", f"/Patient?identifier={own}", patient("A", (MRN, "a"), gender="female"))
    assert (again.status_code, decoded(again)["id"]) == (200, ada)
    pulses = f"{PUBLIC}/fhir/Observation|{pulse['id']}"
    assert await ids(desk, f"/Observation?identifier={pulses}") == [pulse["id"]]
    await desk.fhir("DELETE", f"/Patient/{ada}")
    assert await ids(desk, f"/Patient?identifier={own}") == []
    assert (await desk.post(observation(f"Patient?identifier={own}"))).status_code == 400


async def test_by_last_updated(desk: Desk) -> None:
    first = await desk.made_id(observation())
    second = await desk.made_id(observation())
    at = (await desk.read(f"/Observation/{second}"))["meta"]["lastUpdated"]
    when = quote(at)
    assert await ids(desk, f"/Observation?_lastUpdated=lt{when}") == [first]
    assert second in await ids(desk, f"/Observation?_lastUpdated=ge{when}")
    assert await ids(desk, f"/Observation?_lastUpdated={at[:10]}") == [first, second]
    assert await ids(desk, "/Observation?_lastUpdated=gt1990&_lastUpdated=lt1991") == []
    assert len(await ids(desk, "/Observation?_lastUpdated=ge0001-01-01&_lastUpdated=le9999-12-31")) == 2


@pytest.mark.parametrize(
    "value",
    ["", "yesterday", "ne2020", "2020-13", "0000", "10000", "2020-02-30", "2020-01-01T25:00:00Z"],
)
async def test_a_last_updated_that_is_no_time_is_400(desk: Desk, value: str) -> None:
    assert (await desk.fhir("GET", f"/Observation?_lastUpdated={value}")).status_code == 400


@pytest.mark.parametrize(
    "value", ["9999", "9999-12", "9999-12-31", "0001", "9999-12-31T23:59:59Z", "0001-01-01T00:00:00%2B14:00"]
)
@pytest.mark.parametrize("prefix", ["", "gt", "le"])
async def test_the_ends_of_time_are_searched(desk: Desk, prefix: str, value: str) -> None:
    assert (await desk.fhir("GET", f"/Observation?_lastUpdated={prefix}{value}")).status_code in (200, 400)


async def test_pages_hold_everything_once_even_while_it_grows(desk: Desk) -> None:
    made = [await desk.made_id(observation()) for _ in range(7)]
    seen: list[str] = []
    path: str | None = "/fhir/Observation?_count=3&_total=accurate"
    while path:
        page = decoded(await desk.call("GET", path))
        assert page["type"] == "searchset" and page["total"] >= 7
        seen += [one["id"] for one in resources(page)]
        if len(seen) == 3:
            assert (await desk.fhir("DELETE", f"/Observation/{seen[0]}")).status_code == 204
            made.append(await desk.made_id(observation()))
        path = link(page, "next")
    assert seen == made


@pytest.mark.parametrize("sort", ["_lastUpdated", "-_lastUpdated", "_id", "-_id"])
async def test_results_come_in_the_order_that_is_asked_for(desk: Desk, sort: str) -> None:
    made = [await desk.made_id(observation()) for _ in range(5)]
    again = await desk.read(f"/Observation/{made[1]}")
    assert (await desk.fhir("PUT", f"/Observation/{made[1]}", {**again, "status": "amended"})).status_code == 200
    expected = [made[0], made[2], made[3], made[4], made[1]] if "_lastUpdated" in sort else made
    expected = expected[::-1] if sort.startswith("-") else expected
    seen: list[str] = []
    path: str | None = f"/fhir/Observation?_sort={sort}&_count=2&_lastUpdated=ge2000"
    while path:
        page = decoded(await desk.call("GET", path))
        seen += [one["id"] for one in resources(page)]
        path = link(page, "next")
    assert seen == expected
    other = await desk.fhir("GET", "/Observation?_sort=-code,_lastUpdated")
    assert other.status_code == 400 and "-_lastUpdated" in issue(other)["diagnostics"]


async def test_count_zero_counts_only(desk: Desk) -> None:
    for _ in range(3):
        await desk.made_id(observation())
    for query in ("_count=0", "_summary=count", "_summary=count&_count=2", "_count=2&_summary=count"):
        page = decoded(await desk.fhir("GET", f"/Observation?{query}", headers={"prefer": "handling=strict"}))
        assert page["total"] == 3 and "entry" not in page and link(page, "next") is None, query
        assert link(page, "self") == f"/fhir/Observation?{query}"
    assert len(await desk.found("/Observation?_summary=true")) == 3, "a whole resource is no wrong answer to it"


async def test_a_self_link_says_what_was_searched(desk: Desk) -> None:
    lenient = {"prefer": "respond-async, handling=lenient"}
    page = decoded(await desk.fhir("GET", "/Patient?identifier=a|b&nonsense=1&_count=2", headers=lenient))
    assert link(page, "self") == "/fhir/Patient?identifier=a%7Cb&_count=2"


async def test_a_filter_that_is_not_known_never_finds_everybody(desk: Desk) -> None:
    """A typo in the name of a parameter would otherwise answer all patients (FHIR R4 §3.1.1.1)."""
    await desk.made_id(patient("Somebody", (MRN, "S-1")))
    refused = await desk.fhir("GET", f"/Patient?identifer={MRN}|nobody")
    assert refused.status_code == 400 and "identifer" in issue(refused)["diagnostics"]
    form = await desk.fhir("POST", "/Patient/_search", b"identifer=nobody", kind=FORM)
    assert form.status_code == 400 and MRN not in form.text
    strict, lenient = {"prefer": "handling=strict"}, {"prefer": "handling=lenient"}
    assert (await desk.fhir("GET", "/Patient?identifer=1", headers=strict)).status_code == 400
    assert len(resources(decoded(await desk.fhir("GET", "/Patient?identifer=1", headers=lenient)))) == 1
    asked = entry("GET", f"Patient?identifer={MRN}|nobody")
    [said] = decoded(await desk.batch(asked))["entry"]
    assert said["response"]["status"].startswith("400") and "resource" not in said
    whole = await desk.transact(entry("POST", "Patient", patient("Other")), asked)
    assert whole.status_code == 400 and issue(whole)["expression"] == ["Bundle.entry[1].request.url"]
    assert desk.counts()["Patient"] == 1


@pytest.mark.parametrize(
    ("prefer", "status"),
    [
        ('Handling = "lenient"', 200),
        ("return=minimal; handling=lenient", 200),
        ("respond-async,handling=lenient", 200),
        ("handling=lenientish", 400),
        ("x-handling=lenient", 400),
        ("handling=lenient, handling=strict", 400),
    ],
)
async def test_only_who_says_so_is_answered_without_the_filter(desk: Desk, prefer: str, status: int) -> None:
    assert (await desk.fhir("GET", "/Patient?nonsense=1", headers={"prefer": prefer})).status_code == status


async def test_identifiers_that_cannot_be_narrowed_are_refused_rather_than_lost(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "_MOST", 2)
    for number in range(3):
        await desk.made_id(patient("Many", (MRN, f"m-{number}"), (UNLISTED, "same"), birthDate=f"198{number}-01-01"))
    query = f"identifier={UNLISTED}|same&identifier={MRN}|m-2"
    assert (await desk.fhir("GET", f"/Patient?{query}")).status_code == 400
    assert len(await ids(desk, f"/Patient?identifier={MRN}|m-2&identifier={UNLISTED}|same")) == 1


async def test_a_create_whose_condition_stands_in_the_url_makes_nobody(desk: Desk) -> None:
    """FHIR R4 §3.1.0.8.1: it goes to If-None-Exist; ignored, every repetition would make one more."""
    refused = await desk.fhir("POST", f"/Patient?identifier={MRN}|1", patient("Twice", (UNLISTED, "1")))
    assert refused.status_code == 400 and "If-None-Exist" in issue(refused)["diagnostics"]
    assert desk.counts() == {}
    assert (await desk.fhir("POST", "/Patient?_format=json&_pretty=true", patient("Once"))).status_code == 201


async def test_a_bundle_is_not_answered_about_types_that_there_are_not(desk: Desk) -> None:
    urls = ("Patiant?identifier=a|1", "Patiant/1", "Patient/nobody")
    said = decoded(await desk.batch(*[entry("GET", url) for url in urls], entry("DELETE", "Patiant/1")))["entry"]
    assert [one["response"]["status"][:3] for one in said] == ["404"] * 4


async def test_what_cannot_be_meant_is_refused(desk: Desk) -> None:
    for query in ("identifier:not=a", "_id:missing=true", "_count=-1", "_count=x", "_cursor=%20"):
        assert (await desk.fhir("GET", f"/Patient?{query}")).status_code == 400, query


@pytest.mark.parametrize(
    "query", ["subject:Group=1", "patient:identifier=a|b", "patient:Patient.identifier=a|b", "patient.identifier=a|b"]
)
async def test_a_patient_that_is_asked_for_in_another_way_is_refused(desk: Desk, query: str) -> None:
    """Ignored, everybody's would be found (FHIR R4 §3.1.1.4.4: a modifier that is not supported is rejected)."""
    await desk.made_id(observation(f"Patient/{await desk.made_id(patient('Other'))}"))
    answer = await desk.fhir("GET", f"/Observation?{query}")
    assert answer.status_code == 400 and issue(answer)["code"] == "invalid"


async def test_search_by_form(desk: Desk) -> None:
    made = await desk.made_id(patient("Form", (MRN, "F 1")))
    body = f"identifier={quote(MRN)}%7CF+1".encode()
    answer = await desk.fhir("POST", "/Patient/_search", body, kind=FORM)
    assert [one["id"] for one in resources(decoded(answer))] == [made]
    both = await desk.fhir("POST", f"/Patient/_search?_id={made}", body, kind=FORM)
    assert [one["id"] for one in resources(decoded(both))] == [made]
    assert (await desk.fhir("POST", "/Patient/_search", b"", kind=FORM)).status_code == 200
    without = await desk.fhir("POST", f"/Patient/_search?_id={made}")
    assert [one["id"] for one in resources(decoded(without))] == [made], "what is not sent needs no Content-Type"
    assert (await desk.fhir("POST", "/Patient/_search", b"identifier=\xff\xfe", kind=FORM)).status_code == 400
    assert (await desk.fhir("POST", "/Patient/_search", b"{}", kind="application/json")).status_code == 415
    assert (
        await desk.fhir("POST", "/Patient/_search", b"identifier=" + b"x" * 2_000_000, kind=FORM)
    ).status_code == 413


async def test_a_remote_id_finds_its_patient_and_is_shown(desk: Desk) -> None:
    desk.connect({"name": "camp", "profile": "intake", "push": False, "idSystem": "https://camp.example/ids"})
    key = desk.add_key("camp", "camp", "system/Patient.cruds")
    seed = {"firstName": "Ada", "lastName": "Camp", "partnerId": "c-1"}
    assert (await desk.seed(seed, key)).status_code == 202
    [found] = await desk.found("/Patient?identifier=https://camp.example/ids|c-1")
    assert found["identifier"] == [{"system": "https://camp.example/ids", "value": "c-1"}]
    assert (await desk.read(f"/Patient/{found['id']}"))["identifier"] == found["identifier"]


async def test_a_client_that_hands_a_shown_remote_id_back_asserts_nothing(desk: Desk) -> None:
    desk.connect({"name": "camp", "profile": "intake", "push": False, "idSystem": "https://camp.example/ids"})
    key = desk.add_key("camp", "camp", "system/Patient.cruds")
    await desk.seed({"firstName": "Ada", "lastName": "Camp", "partnerId": "c-1"}, key)
    [found] = await desk.found("/Patient?identifier=https://camp.example/ids|c-1")
    again = await desk.fhir("PUT", f"/Patient/{found['id']}", found)
    assert again.status_code == 200 and again.headers["etag"] == 'W/"1"'


async def test_an_identifier_that_a_client_named_first_becomes_a_link(desk: Desk) -> None:
    """The partner's own id is known from a client before the partner itself comes."""
    desk.connect({"name": "camp", "profile": "intake", "push": False, "idSystem": "https://camp.example/ids"})
    key = desk.add_key("camp", "camp", "system/Patient.cruds")
    made = await desk.made_id(patient("Camp", ("https://camp.example/ids", "c-1"), birthDate=None))
    answer = await desk.seed({"firstName": "Ada", "lastName": "Camp", "partnerId": "c-1"}, key)
    assert answer.status_code == 202, answer.text
    assert await ids(desk, "/Patient?identifier=https://camp.example/ids|c-1") == [made]
    assert desk.counts()["Patient"] == 1
