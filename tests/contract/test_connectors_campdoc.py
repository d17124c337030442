"""The CampDoc connector against its stand-in over real sockets, logged in as an administrator once did.

With CAMPDOC_URL, CAMPDOC_TOKEN and CAMPDOC_ORG the same reads run against a real organization.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from typing import Any

import httpx
import pytest

from gateway.connectors import campdoc, campdoc_details
from gateway.connectors.call import NOT_THERE, Accepted, Call, Page, Seen
from gateway.connectors.protocol import Item, Side, Target
from gateway.delivery.guard import networks
from gateway.delivery.http import Outbound, Peer
from gateway.errors import PartnerLoginExpired, PartnerRejected, PartnerUnavailable, PartnerUnknown
from gateway.fhir import gate
from gateway.sandbox import campdoc as stand_in
from gateway.sandbox import serve
from gateway.sandbox.campdoc import CampSandbox

pytestmark = pytest.mark.anyio

OURS = "https://gateway.example/fhir"
ORG = str(stand_in.ORGANIZATION)
SIDE = Side(ours=OURS, id_system="x", options=campdoc.Options(org_id=ORG))
OWN = f"https://app.campdoc.com/organizations/{ORG}/profile-identifier"
ADA: dict[str, Any] = {
    "resourceType": "Patient",
    "name": [{"use": "official", "family": "Okafor", "given": ["Ada", "Mae", "Lou"]}],
    "gender": "female",
    "birthDate": "2014-02-03",
}
OUR_ID = "01990000-0000-7000-8000-000000000001"


@pytest.fixture
def camp() -> CampSandbox:
    return stand_in.create()


@pytest.fixture
def url(camp: CampSandbox) -> Iterator[str]:
    with serve.running(camp) as address:
        yield address


@pytest.fixture
async def peer(url: str) -> Peer:
    return await logged_in(url)


@pytest.fixture
async def outbound() -> AsyncIterator[Outbound]:
    async with Outbound() as client:
        yield client


async def logged_in(url: str, scope: str = campdoc.SCOPE) -> Peer:
    """As whoever completes the login by hand would."""
    asked = {"client_id": stand_in.CLIENT_ID, "response_type": "code", "scope": scope}
    async with httpx.AsyncClient(trust_env=False) as browser:
        sent = await browser.get(f"{url}/!/oauth", params=asked)
        code = httpx.URL(sent.headers["location"]).params["code"]
        pair = (stand_in.CLIENT_ID, stand_in.CLIENT_SECRET)
        form = {"grant_type": "authorization_code", "code": code}
        got = await browser.post(f"{url}/public/v2/oauth/access_token", auth=pair, data=form)
    headers = {"authorization": f"bearer {got.json()['access_token']}"}
    return Peer("camp", f"{url}/public/v2", headers, networks(["127.0.0.0/8"]), 5.0)


def calls(camp: CampSandbox) -> list[tuple[str, str]]:
    there = f"/public/v2/organizations/{ORG}"
    listed = [one for one in camp.log if one["path"].startswith(there)]
    return [(one["method"], one["path"].removeprefix(there)) for one in listed]


async def read(outbound: Outbound, peer: Peer, id_: str = OUR_ID, remote_id: str | None = None) -> Seen:
    return await outbound.run(campdoc.read(Target("Patient", id_, remote_id), SIDE), peer)


async def push(outbound: Outbound, peer: Peer, body: dict[str, Any] = ADA, remote_id: str | None = None) -> Accepted:
    return await outbound.run(campdoc.push(Item("Patient", OUR_ID, body, remote_id), SIDE), peer)


async def scan(outbound: Outbound, peer: Peer) -> Page:
    return await outbound.run(campdoc.scan(None, SIDE), peer)


async def test_a_new_patient_becomes_a_profile_under_our_id(outbound: Outbound, peer: Peer, camp: CampSandbox) -> None:
    assert await read(outbound, peer) == NOT_THERE
    made = await push(outbound, peer)
    profile = camp.camp.profiles[int(made.remote_id)]
    assert (profile["identifier"], profile["givenName"], profile["middleName"]) == (OUR_ID, "Ada", "Mae Lou")
    assert (profile["familyName"], profile["dob"], profile["sex"]) == ("Okafor", "2014-02-03", "Female")
    assert made.body is not None and made.body["name"][0]["given"] == ["Ada", "Mae", "Lou"]
    seen = await read(outbound, peer)
    assert seen.remote_id == made.remote_id and seen.body is not None
    assert seen.body["identifier"] == [
        {"system": OWN, "value": OUR_ID},
        {"system": f"{OURS}/Patient", "value": OUR_ID},
    ]


async def test_an_update_names_what_the_form_holds_and_nothing_else(
    outbound: Outbound, peer: Peer, camp: CampSandbox
) -> None:
    made = await push(outbound, peer)
    camp.camp.profiles[int(made.remote_id)]["identifier"] = "own-key-7"
    changed = await push(outbound, peer, {**ADA, "birthDate": "2014-02-04"}, made.remote_id)
    assert changed.body is not None and changed.body["birthDate"] == "2014-02-04"
    sent = camp.log[-1]["body"]
    assert sent.keys() == {"givenName", "middleName", "familyName", "sex", "dob"}
    assert camp.camp.profiles[int(made.remote_id)]["identifier"] == "own-key-7", "their own key is left alone"


async def test_sending_a_new_patient_twice_makes_one_profile(outbound: Outbound, peer: Peer, camp: CampSandbox) -> None:
    first = await push(outbound, peer)
    again = await push(outbound, peer, {**ADA, "gender": "male"})
    assert again.remote_id == first.remote_id
    assert [one["sex"] for one in camp.camp.profiles.values() if one["identifier"] == OUR_ID] == ["Male"]


async def test_two_who_create_at_once_make_one(outbound: Outbound, peer: Peer, camp: CampSandbox) -> None:
    """Between our look and our create somebody else made it: 409, read again, changed."""
    calls_ = campdoc.push(Item("Patient", OUR_ID, ADA), SIDE)
    looked = await outbound.send(next(calls_), peer)
    create = calls_.send(looked)
    assert create.method == "POST"
    await outbound.send(create, peer)
    refused = await outbound.send(create, peer)
    assert refused.status == 409
    update = await outbound.send(calls_.send(refused), peer)
    last = calls_.send(update)
    assert last.method == "PUT"
    with pytest.raises(StopIteration):
        calls_.send(await outbound.send(last, peer))
    assert len([one for one in camp.camp.profiles.values() if one["identifier"] == OUR_ID]) == 1


@pytest.mark.parametrize("gender", ["other", "unknown"])
async def test_a_gender_they_have_no_word_for_is_null_there_and_stays_here(
    outbound: Outbound, peer: Peer, camp: CampSandbox, gender: str
) -> None:
    made = await push(outbound, peer, {**ADA, "gender": gender})
    assert camp.camp.profiles[int(made.remote_id)]["sex"] is None
    assert made.body is not None and made.body["gender"] == gender
    seen = await read(outbound, peer)
    assert seen.body is not None and "gender" not in seen.body
    assert seen.coverage is not None and seen.coverage.elements is not None
    assert "gender" not in seen.coverage.elements, "null says nothing"


async def test_a_day_of_birth_is_never_invented(outbound: Outbound, peer: Peer, camp: CampSandbox) -> None:
    made = await push(outbound, peer, {**ADA, "birthDate": "2014-02"})
    assert camp.camp.profiles[int(made.remote_id)]["dob"] is None


async def test_who_lacks_a_name_is_refused_before_anything_is_sent(
    outbound: Outbound, peer: Peer, camp: CampSandbox
) -> None:
    with pytest.raises(PartnerRejected, match="given and a family name"):
        await push(outbound, peer, {**ADA, "name": [{"family": "Okafor"}]})
    assert calls(camp) == []


async def test_a_delete_here_deactivates_there_and_can_be_taken_back(
    outbound: Outbound, peer: Peer, camp: CampSandbox
) -> None:
    made = await push(outbound, peer)
    gone = await push(outbound, peer, {**ADA, "active": False}, made.remote_id)
    assert gone.body is not None and gone.body["active"] is False
    assert made.remote_id not in {one.remote_id for one in (await scan(outbound, peer)).found}
    seen = await read(outbound, peer, remote_id=made.remote_id)
    assert seen.body is not None and seen.body["active"] is False
    back = await push(outbound, peer, {**ADA, "active": True}, made.remote_id)
    assert back.body is not None and "active" not in back.body
    assert camp.camp.profiles[int(made.remote_id)]["deactivated"] is None


async def test_a_create_whose_answer_was_lost_is_found_again(outbound: Outbound, peer: Peer, camp: CampSandbox) -> None:
    camp.set(drop="after", methods=("POST",), times=1)
    with pytest.raises(PartnerUnknown):
        await push(outbound, peer)
    seen = await read(outbound, peer)
    assert seen.remote_id is not None
    assert (await push(outbound, peer)).remote_id == seen.remote_id


async def test_a_look_finds_groups_profiles_and_registrations_in_three_calls(
    outbound: Outbound, peer: Peer, camp: CampSandbox
) -> None:
    nora = next(iter(camp.camp.profiles.values()))
    camper = camp.camp.register(nora, {"groupID": 502, "type": "patient"})
    camper |= {"created": "2026-02-03 17:30:17.829", "updated": "2026-02-04 08:00:00.000"}
    staff = camp.camp.register(nora, {"groupIdentifier": "herons-1", "type": "provider"})
    camp.camp.set_deactivated(camp.camp.register(nora, {"groupID": 503, "type": "patient"}), deactivated=True)
    page = await scan(outbound, peer)
    assert len(calls(camp)) == 3 and not page.more and page.cursor is None
    by_id = {(one.type, one.remote_id): one for one in page.found}
    for one in page.found:
        assert one.body is not None
        gate.require(one.body)
    otters = by_id["Organization", "502"].body
    assert otters is not None and otters["partOf"] == {"reference": "Organization/501"} and otters["name"] == "Otters"
    found = by_id["EpisodeOfCare", str(camper["id"])]
    assert found.at == "2026-02-04T08:00:00.000Z" and found.body is not None
    assert found.body["period"] == {"start": "2026-02-03T17:30:17.829Z"}, "no zone is UTC"
    assert found.body["patient"] == {"reference": f"Patient/{nora['id']}"}
    assert found.body["managingOrganization"] == {"reference": "Organization/502"}
    role = by_id["PractitionerRole", str(staff["id"])].body
    assert role is not None and role["active"] is True
    states = {one.body["status"] for one in page.found if one.type == "EpisodeOfCare" and one.body}
    assert states == {"active", "cancelled"}
    assert len([one for one in page.found if one.type == "Patient"]) == len(stand_in.PROFILES)


async def test_users_and_reviews_are_asked_for_profile_by_profile(
    outbound: Outbound, url: str, camp: CampSandbox
) -> None:
    """Only where the options say so: two calls each, a few profiles a page."""
    held = camp.camp
    for number in range(campdoc_details.PER_PAGE):
        held.create_profile({"givenName": "Kid", "familyName": f"No{number}"})
    first, *_, last = held.profiles.values()
    held.link_user(first, {"email": "Mona@example.org", "givenName": "Mona", "familyName": "Rask"})
    review = {"label": "Medical", "status": "Yes", "timestamp": "2026-07-15T13:55:33.941Z", "sticky": False}
    held.reviews[last["id"]] = [{**review, "provider": {"name": "Jo Reed", "email": "jo@example.org"}}]
    side = replace(SIDE, options=campdoc.Options(org_id=ORG, include=("users", "reviews")))
    peer = await logged_in(url, f"{campdoc.SCOPE} users:read")
    pages = [await outbound.run(campdoc.scan(None, side), peer)]
    while pages[-1].more:
        pages.append(await outbound.run(campdoc.scan(pages[-1].cursor, side), peer))
    assert len(pages) == 3 and pages[-1].cursor is None
    [user] = pages[1].found
    assert user.type == "RelatedPerson" and "mona" not in user.remote_id.lower() and user.body is not None
    gate.require(user.body)
    assert user.body["patient"] == {"reference": f"Patient/{first['id']}"}
    assert user.body["telecom"] == [{"system": "email", "value": "Mona@example.org"}]
    [seen] = pages[2].found
    assert (seen.type, seen.remote_id, seen.at) == ("Observation", f"{last['id']}.Medical", review["timestamp"])
    assert seen.body is not None
    gate.require(seen.body)
    assert (seen.body["valueString"], seen.body["performer"]) == ("Yes", [{"display": "Jo Reed"}])


async def test_a_scope_that_is_missing_is_refused(outbound: Outbound, url: str) -> None:
    reader = await logged_in(url, "profiles:read")
    assert await read(outbound, reader) == NOT_THERE
    with pytest.raises(PartnerRejected, match="403"):
        await push(outbound, reader)


async def test_over_the_rate_limit_we_wait_as_long_as_they_say(outbound: Outbound, peer: Peer, url: str) -> None:
    async with httpx.AsyncClient(trust_env=False) as control:
        await control.post(f"{url}/_limit", json={"requests": 2, "seconds": 900})
    await read(outbound, peer)
    reply = await outbound.send(Call("GET", campdoc.place(SIDE, "/groups")), peer)
    assert (reply.headers["x-ratelimit-limit"], reply.headers["x-ratelimit-remaining"]) == ("2", "0")
    assert reply.headers["x-request-identifier"]
    with pytest.raises(PartnerUnavailable) as refused:
        await read(outbound, peer)
    assert refused.value.retry_after is not None and 890 <= refused.value.retry_after <= 900


async def test_a_probe_takes_one_call(outbound: Outbound, peer: Peer, camp: CampSandbox) -> None:
    await outbound.run(campdoc.probe(SIDE), peer)
    assert calls(camp) == [("GET", "/groups")]
    stranger = replace(peer, headers={"authorization": "bearer wrong"})
    with pytest.raises(PartnerLoginExpired, match="401"):
        await outbound.run(campdoc.probe(SIDE), stranger)


REAL = os.environ.get("CAMPDOC_URL", "").rstrip("/")


@pytest.mark.parametrize("where", ["stand-in", *(["real"] if REAL else [])])
async def test_an_organization_can_be_looked_through(outbound: Outbound, peer: Peer, where: str) -> None:
    there, side = peer, SIDE
    if where == "real":
        there = Peer("campdoc", REAL, {"authorization": f"bearer {os.environ['CAMPDOC_TOKEN']}"}, (), 30.0)
        side = replace(SIDE, options=campdoc.Options(org_id=os.environ["CAMPDOC_ORG"]))
    page = await outbound.run(campdoc.scan(None, side), there)
    assert page.found
    for one in page.found:
        assert one.body is not None
        if one.type != "EpisodeOfCare":  # its references are theirs until it is taken in
            gate.require(one.body)
