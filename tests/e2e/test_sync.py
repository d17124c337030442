"""What the gateway looks for by itself: polls, syncs, first contacts; interrupted, repeated, and twice at once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from gateway.connectors import fhir_server
from gateway.connectors.signature import sign
from gateway.fhir import json
from gateway.sandbox import hms, serve
from gateway.sandbox.faults import Sandbox

from .desk import opened
from .office import REST, Office, person, staffed
from .waiting import until

pytestmark = pytest.mark.anyio

POLLING = {"mode": "polling", "intervalSeconds": 0.1}


@pytest.fixture
async def office(tmp_path: Path) -> AsyncIterator[Office]:
    sandbox = hms.create()
    with serve.running(sandbox) as url:
        async with staffed(tmp_path, sandbox, url) as one:
            yield one


async def hold(office: Office, count: int, start: int = 0) -> None:
    """So many people on their side, in one transaction."""
    entries = [
        {"request": {"method": "PUT", "url": f"Patient/n{n}"}, "resource": person(f"n{n}", f"Family{n:05d}")}
        for n in range(start, start + count)
    ]
    await office.peer("POST", "/fhir", {"resourceType": "Bundle", "type": "transaction", "entry": entries})


def patients(office: Office) -> int:
    return office.desk.counts().get("Patient", 0)


def without_id(family: str = "Byron") -> dict[str, Any]:
    return {name: value for name, value in person("-", family).items() if name != "id"}


def searches(sandbox: Sandbox) -> list[str]:
    return [entry["query"] for entry in sandbox.log if (entry["method"], entry["path"]) == ("GET", "/fhir/Patient")]


def writes(sandbox: Sandbox) -> list[str]:
    """Whatever changed anything there, those of the test's own user aside."""
    return [entry["path"] for entry in sandbox.log if entry["method"] != "GET"]


# --- polls ------------------------------------------------------------------------------------------------------------


async def test_a_poll_brings_what_is_new_and_what_is_as_it_was_costs_nothing(office: Office) -> None:
    await hold(office, 3)
    await office.made(office.fhir(sync=POLLING, push=False))

    async def three() -> bool:
        return patients(office) == 3

    await until(three)
    before = office.desk.sequence()
    messages = len([one for one in office.desk.messages() if one.kind == "poll"])
    seen = len(searches(office.sandbox))

    async def polled_again() -> bool:
        return len(searches(office.sandbox)) >= seen + 3

    await until(polled_again)
    assert office.desk.sequence() == before
    assert len([one for one in office.desk.messages() if one.kind == "poll"]) == messages, "nothing is kept of nothing"
    await office.peer("PUT", "/fhir/Patient/n1", person("n1", "Married"))

    async def married() -> Any:
        found = await office.desk.found(f"/Patient?identifier={office.url}/fhir|n1")
        return found and found[0]["name"][0]["family"] == "Married"

    await until(married)
    assert any("_lastUpdated=ge" in query for query in searches(office.sandbox)), "from where the last one ended"
    status = (await office.call("GET", "/ehr/status")).json()
    assert status["status"] == "connected" and status["lastSyncAt"] and status["cursor"]


async def test_an_edit_that_undoes_what_came_between_two_polls_is_seen(office: Office) -> None:
    """They show A at one poll, B to a webhook, A again at the next poll: as at the last one, not as we know them."""
    secret = "whsec_c2VjcmV0"
    await hold(office, 1)
    await office.made(office.fhir(sync=POLLING, push=False))

    async def family() -> str:
        [found] = await office.desk.found(f"/Patient?identifier={office.url}/fhir|n0")
        return str(found["name"][0]["family"])

    async def here() -> bool:
        return patients(office) == 1

    await until(here)
    await office.call("PATCH", "/ehr", {"sync": {"mode": "webhook", "secret": secret, "intervalSeconds": None}})
    await office.peer("PUT", "/fhir/Patient/n0", person("n0", "Between"))
    payload = b'{"type":"patient.updated","data":{"id":"n0"}}'
    headers = sign(secret, "e1", payload, now=datetime.now(UTC))
    await office.desk.call("POST", "/api/webhooks/ehr", payload, key="", kind=REST, headers=headers)

    async def between() -> bool:
        return await family() == "Between"

    await until(between)
    await office.peer("PUT", "/fhir/Patient/n0", person("n0", "Family00000"))
    await office.call("PATCH", "/ehr", {"sync": {"mode": "polling", "intervalSeconds": 0.1}})

    async def undone() -> bool:
        return await family() == "Family00000"

    await until(undone)


async def test_two_gateways_on_one_database_poll_once(office: Office, tmp_path: Path) -> None:
    """The interval is a minute: a second poll in these moments would be the other process'."""
    await hold(office, 2)
    async with staffed(tmp_path, office.sandbox, office.url):
        await office.made(office.fhir(sync={"mode": "polling", "intervalSeconds": 60}, push=False))

        async def both() -> bool:
            return patients(office) == 2

        await until(both)
        await asyncio.sleep(0.3)
    polls = [query for query in searches(office.sandbox) if "_sort" in query]
    assert len(polls) == 1


async def test_a_poll_that_fails_is_told_and_goes_on(office: Office) -> None:
    await hold(office, 1)
    await office.made(office.fhir(sync=POLLING, push=False))

    async def one() -> bool:
        return patients(office) == 1

    await until(one)
    office.sandbox.set(status=500, methods=["GET"])

    async def failing() -> bool:
        return (await office.call("GET", "/ehr/status")).json()["status"] in ("degraded", "error")

    await until(failing)
    office.sandbox.set()
    await hold(office, 1, start=7)

    async def two() -> bool:
        return patients(office) == 2

    await until(two)

    async def well() -> bool:
        return (await office.call("GET", "/ehr/status")).json()["status"] == "connected"

    await until(well)


async def test_a_defect_of_ours_while_looking_is_told_and_no_reason_to_look_all_the_time(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks: list[str] = []

    def scan(*_: Any) -> Any:
        looks.append("look")
        raise KeyError("a name that is nobody's business")

    monkeypatch.setattr(fhir_server, "scan", scan)
    await office.made(office.fhir(sync={**POLLING, "intervalSeconds": 3600}, push=False))

    async def told() -> bool:
        return bool((await office.call("GET", "/ehr/status")).json()["lastError"])

    await until(told)
    await asyncio.sleep(1.5)
    assert len(looks) == 1
    said = (await office.call("GET", "/ehr/status")).json()["lastError"]
    assert "internal error (KeyError)" in str(said) and "nobody" not in str(said)
    ended = await office.run("ehr")
    assert ended["status"] == "failed" and "KeyError" in ended["error"]


async def test_a_poll_whose_place_they_no_longer_know_begins_that_look_again(office: Office) -> None:
    """It was killed between two pages, and their search has expired since."""
    await hold(office, 5)
    await office.made(office.fhir(sync={**POLLING, "intervalSeconds": 3600}, push=False, options={"page": 2}))

    async def five() -> bool:
        return patients(office) == 5

    await until(five)
    await office.call("POST", "/ehr/pause")
    [place] = office.desk.ask(lambda reader: [reader.health("ehr")])
    gone = json.encode({**json.decode(place.cursor.encode()), "next": f"{office.url}/fhir/Expired?page=2"}).decode()
    office.desk.store.write_now(lambda tx: tx.put_health(place._replace(cursor=gone, last_sync_at=None)))
    await office.peer("PUT", "/fhir/Patient/n1", person("n1", "Married"))
    await office.call("POST", "/ehr/resume")

    async def married() -> Any:
        [found] = await office.desk.found(f"/Patient?identifier={office.url}/fhir|n1")
        return found["name"][0]["family"] == "Married"

    await until(married)


# --- manual syncs -----------------------------------------------------------------------------------------------------


async def test_a_full_sync_reports_what_came_of_each(office: Office) -> None:
    await hold(office, 5)
    await office.made(office.fhir(push=False))
    done = await office.run("ehr")
    assert (done["status"], done["mode"], done["dryRun"]) == ("done", "full", False)
    assert (done["report"]["seen"], done["report"]["created"]) == (5, 5) and done["finishedAt"]
    again = await office.run("ehr", {"mode": "full"})
    assert (again["report"]["seen"], again["report"]["same"]) == (5, 5)
    await office.peer("PUT", "/fhir/Patient/n0", person("n0", "Else"))
    third = await office.run("ehr", {"mode": "full"})
    assert (third["report"]["changed"], third["report"]["same"]) == (1, 4)
    newest, *_ = (await office.call("GET", "/ehr/syncs")).json()
    assert newest["syncId"] == third["syncId"]


async def test_a_dry_run_says_what_would_come_and_writes_nothing(office: Office) -> None:
    await hold(office, 4)
    await office.made(office.fhir(push=False))
    before = office.desk.sequence()
    done = await office.run("ehr", {"dryRun": True})
    assert (done["status"], done["report"]["created"]) == ("done", 4)
    assert office.desk.sequence() == before and patients(office) == 0 and not office.desk.messages()


async def test_a_dry_run_knows_that_what_is_referred_to_would_come_as_well(office: Office) -> None:
    """A measurement of somebody who is as new as it is, on another page, is no reference to nothing."""
    await hold(office, 1)
    weight = {
        "resourceType": "Observation",
        "id": "o1",
        "status": "final",
        "code": {"text": "Body weight"},
        "subject": {"reference": "Patient/n0"},
    }
    await office.peer("PUT", "/fhir/Observation/o1", weight)
    await office.made(office.fhir(push=False, options={"types": ["Patient", "Observation"]}))
    planned = await office.run("ehr", {"dryRun": True})
    assert (planned["report"]["created"], planned["report"]["failed"]) == (2, 0), planned["report"]
    assert office.desk.counts() == {}
    done = await office.run("ehr")
    assert (done["report"]["created"], done["report"]["failed"]) == (2, 0)
    [found] = await office.desk.found("/Observation")
    assert found["subject"]["reference"].startswith("Patient/") and "identifier" not in found["subject"]


async def test_only_these_patients_by_their_ids_or_ours(office: Office) -> None:
    await hold(office, 4)
    await office.made(office.fhir(push=False))
    done = await office.run("ehr", {"patientIds": ["n1"]})
    assert (done["report"]["seen"], patients(office)) == (1, 1)
    [known] = await office.desk.found(f"/Patient?identifier={office.url}/fhir|n1")
    await office.peer("PUT", "/fhir/Patient/n1", person("n1", "Else"))
    again = await office.run("ehr", {"patientIds": [known["id"]]})
    assert again["report"]["changed"] == 1


async def test_a_delta_takes_what_changed_since(office: Office) -> None:
    await hold(office, 3)
    await office.made(office.fhir(push=False))
    await office.run("ehr")
    await office.peer("PUT", "/fhir/Patient/n2", person("n2", "Else"))
    delta = await office.run("ehr", {"mode": "delta"})
    assert delta["report"]["changed"] == 1
    nothing = await office.run("ehr", {"mode": "full", "since": "2099-06-15T12:00Z"})
    assert nothing["report"]["seen"] == 0, "the short form of a time is understood"


async def test_a_sync_of_what_changed_since_leaves_the_next_poll_where_it_was(office: Office) -> None:
    """What it left out, the polls have not seen yet."""
    await hold(office, 3)
    await office.made(office.fhir(push=False))
    await office.run("ehr")
    before = (await office.call("GET", "/ehr/status")).json()["cursor"]
    await asyncio.sleep(0.01)
    assert (await office.run("ehr", {"since": "2099-06-15T12:00:00Z"}))["report"]["seen"] == 0
    assert (await office.call("GET", "/ehr/status")).json()["cursor"] == before
    await office.run("ehr", {"mode": "delta"})
    assert (await office.call("GET", "/ehr/status")).json()["cursor"] != before


REFUSED: dict[str, Any] = {
    "mode": {"mode": "sideways"},
    "since": {"since": "yesterday"},
    "patientIds": {"patientIds": [""]},
    "field": {"pace": "slow"},
    "shape": ["full"],
    "first": {"mode": "first"},
}


@pytest.mark.parametrize("name", REFUSED)
async def test_a_sync_that_makes_no_sense_is_refused(office: Office, name: str) -> None:
    await office.made(office.fhir(push=False))
    answer = await office.call("POST", "/ehr/sync", REFUSED[name])
    assert answer.status_code == 422 and answer.json()["detail"].startswith("sync:")


async def test_one_sync_at_a_time(office: Office) -> None:
    await hold(office, 3)
    await office.made(office.fhir(push=False))
    office.sandbox.set(delay=0.5)
    first = (await office.call("POST", "/ehr/sync")).json()
    second = (await office.call("POST", "/ehr/sync")).json()
    assert second["syncId"] == first["syncId"]
    assert (await office.ended("ehr", first["syncId"]))["status"] == "done"
    third = (await office.call("POST", "/ehr/sync", headers={"idempotency-key": "k"})).json()
    await office.ended("ehr", third["syncId"])
    again = (await office.call("POST", "/ehr/sync", headers={"idempotency-key": "k"})).json()
    assert third["syncId"] == again["syncId"] != first["syncId"]


async def test_who_is_held_is_named_and_costs_nobody_else(office: Office) -> None:
    """Their n1 has the number of one of ours who agrees neither in name nor in birth date."""
    key_system = "https://clinic.example/mrn"
    ours = {"resourceType": "Patient", "name": [{"family": "Else", "given": ["Zoe"]}], "birthDate": "1950-05-05"}
    await office.desk.made_id({**ours, "identifier": [{"system": key_system, "value": "7"}]})
    await hold(office, 3)
    stranger = {**person("n1"), "identifier": [{"system": key_system, "value": "7"}]}
    await office.peer("PUT", "/fhir/Patient/n1", stranger)
    await office.made(office.fhir(push=False))
    report = (await office.run("ehr"))["report"]
    assert (report["seen"], report["created"], report["held"]) == (3, 2, 1)
    [named] = report["mustLook"]
    assert (named["type"], named["id"]) == ("Patient", "n1") and "held" in named["reason"]
    assert "Zoe" not in str(report) and "Ada" not in str(report)
    [held] = office.desk.messages("held")
    assert [one["id"] for one in json.decode(held.body)] == ["n1"], "a message of its own, for whoever decides"
    assert [one.state for one in office.desk.messages() if one.kind == "sync" and one != held] == ["applied"]


async def test_a_sync_waits_while_their_side_is_down_and_then_ends(office: Office) -> None:
    await hold(office, 2)
    await office.made(office.fhir(push=False))
    office.sandbox.set(status=503, methods=["GET"], times=1)
    assert (await office.run("ehr"))["report"]["created"] == 2


async def test_resend_tries_again_what_failed_in_both_directions(office: Office) -> None:
    secret = "whsec_c2VjcmV0"
    await office.made(office.fhir(sync={"mode": "webhook", "secret": secret}))
    office.sandbox.set(status=400)
    await office.desk.made_id(without_id())
    payload = b'{"type":"patient.updated","data":{"id":"p1"}}'
    headers = sign(secret, "e1", payload, now=datetime.now(UTC))
    await office.desk.call("POST", "/api/webhooks/ehr", payload, key="", kind=REST, headers=headers)

    async def both_failed() -> bool:
        rejected = office.desk.ask(lambda reader: reader.deliveries(("rejected",), limit=9))
        return bool(rejected) and bool(office.desk.messages("failed"))

    await until(both_failed)
    office.sandbox.set()
    nothing = await office.run("ehr", {"mode": "resend", "dryRun": True})
    assert (nothing["report"]["retried"], nothing["report"]["offered"]) == (0, 0)
    done = await office.run("ehr", {"mode": "resend"})
    assert (done["report"]["retried"], done["report"]["offered"]) == (1, 1)

    async def mended() -> bool:
        left = office.desk.ask(lambda reader: reader.deliveries(("rejected", "due", "unknown"), limit=9))
        return not left and not office.desk.messages("failed") and not office.desk.messages("received")

    await until(mended)


async def test_a_sync_that_is_interrupted_goes_on_where_it_was(tmp_path: Path) -> None:
    sandbox = hms.create()
    with serve.running(sandbox) as url:
        async with staffed(tmp_path, sandbox, url) as office:
            await hold(office, 250)
            await office.made(office.fhir(push=False, options={"page": 50}))
            started = (await office.call("POST", "/ehr/sync")).json()["syncId"]

            async def under_way() -> bool:
                return (await office.call("GET", f"/ehr/syncs/{started}")).json()["report"]["pages"] >= 2

            await until(under_way)
        asked = len(searches(sandbox))
        async with staffed(tmp_path, sandbox, url) as office:
            done = await office.ended("ehr", started)
            assert done["status"] == "done" and patients(office) == 250
            assert len(searches(sandbox)) - asked < 5, "not from the beginning"


async def test_a_subscription_that_was_given_up_while_we_were_away_is_asked_for_again(tmp_path: Path) -> None:
    sandbox = hms.create()
    with serve.running(sandbox) as url:
        async with staffed(tmp_path, sandbox, url) as office:
            sync = {"mode": "webhook", "secret": "whsec_c2VjcmV0"}
            await office.made(office.fhir(sync=sync, push=False))
            [entry] = (await office.peer("GET", "/fhir/Subscription"))["entry"]
        given_up = {**entry["resource"], "status": "error"}
        await office.peer("PUT", f"/fhir/Subscription/{given_up['id']}", given_up)
        await hold(office, 2)
        async with staffed(tmp_path, sandbox, url) as back:

            async def all_here() -> bool:
                return patients(back) == 2

            await until(all_here)
            [entry] = (await back.peer("GET", "/fhir/Subscription"))["entry"]
            assert (entry["resource"]["id"], entry["resource"]["status"]) == (given_up["id"], "requested")
            asked = len(listings(sandbox))
            await asyncio.sleep(0.3)
            assert len(listings(sandbox)) == asked, "once an hour, not with every look"


def listings(sandbox: Sandbox) -> list[str]:
    return [one["query"] for one in sandbox.log if (one["method"], one["path"]) == ("GET", "/fhir/Subscription")]


# --- first contact ----------------------------------------------------------------------------------------------------


async def test_a_first_contact_in_plan_writes_nothing_anywhere_until_go(office: Office) -> None:
    await hold(office, 30)
    known = {
        "resourceType": "Patient",
        "name": [{"family": "Family00003", "given": ["Ada"]}],
        "birthDate": "1980-02-22",
    }
    key_system = "https://clinic.example/mrn"
    await office.desk.made_id({**known, "name": [{"family": "Before", "given": ["Eve"]}]})
    mine = await office.desk.made_id(
        {**known, "identifier": [{"system": key_system, "value": "3"}], "gender": "female"}
    )
    theirs = {**person("n3", "Family00003"), "identifier": [{"system": key_system, "value": "3"}], "gender": "male"}
    await office.peer("PUT", "/fhir/Patient/n3", theirs)
    before, there = office.desk.sequence(), len(writes(office.sandbox))
    hook = {"mode": "webhook", "secret": "whsec_c2VjcmV0"}
    made = await office.call("POST", "", office.fhir(first="plan", sync=hook, options={"page": 10}))
    assert made.json()["status"] == "pending"

    async def planned() -> Any:
        runs = (await office.call("GET", "/ehr/syncs")).json()
        return next((one for one in runs if one["status"] == "planned"), None)

    plan = await until(planned)
    report = plan["report"]
    assert (plan["mode"], plan["dryRun"]) == ("first", True)
    assert (report["seen"], report["created"], report["linked"], report["conflicts"]) == (30, 29, 1, 1), report
    assert report["offered"] == 1
    assert office.desk.ask(lambda reader: reader.orders("all", "ehr", limit=1)) == [], "nor is anything ordered"
    assert report["differ"] == [{"type": "Patient", "id": "n3", "reason": "gender"}]
    await office.desk.made_id({**known, "name": [{"family": "Meanwhile", "given": ["Bea"]}]})
    await asyncio.sleep(0.2)
    assert office.desk.sequence() == before + 2, "ours: only what a client did meanwhile, and its Provenance"
    assert len(writes(office.sandbox)) == there, "theirs: not even a Subscription"
    refused = await office.call("POST", "/ehr/sync")
    assert refused.status_code == 409
    gone = await office.call("POST", "/ehr/go")
    assert gone.json()["status"] == "connected"

    async def all_here() -> bool:
        return patients(office) == 32

    await until(all_here)

    async def told() -> bool:
        held = (await office.peer("GET", "/fhir/Patient?_count=100"))["entry"]
        return len(held) == 32

    await until(told)
    assert (await office.desk.read(f"/Patient/{mine}"))["id"] == mine
    assert (await office.call("POST", "/ehr/go")).status_code == 409


async def test_who_was_here_before_is_sent_when_that_is_asked_for(office: Office) -> None:
    """One is known to both already: she is linked, and only the other is made there."""
    number = {"identifier": [{"system": "https://clinic.example/mrn", "value": "3"}]}
    await office.desk.made_id({**without_id("Known"), **number})
    await office.desk.made_id(without_id("Alone"))
    await office.peer("PUT", "/fhir/Patient/n3", {**person("n3", "Known"), **number})
    there = len(writes(office.sandbox))
    await office.made(office.fhir(sync={"mode": "manual"}, keySystems=["https://clinic.example/mrn"]))
    await asyncio.sleep(0.2)
    assert len(writes(office.sandbox)) == there, "connecting alone sends nothing"
    counted = await office.run("ehr", {"dryRun": True, "offer": True})
    assert (counted["report"]["linked"], counted["report"]["offered"]) == (1, 1)
    await office.run("ehr", {"offer": True})

    async def told() -> bool:
        return len((await office.peer("GET", "/fhir/Patient"))["entry"]) == 2

    await until(told)
    held = (await office.peer("GET", "/fhir/Patient"))["entry"]
    assert sorted(one["resource"]["name"][0]["family"] for one in held) == ["Alone", "Known"]


async def test_a_go_in_another_process_ends_a_plan_that_is_under_way(tmp_path: Path) -> None:
    """Written down as running once more, it would be told to whoever asks for a sync as the one under way."""
    sandbox = hms.create()
    with serve.running(sandbox) as url:
        async with (
            staffed(tmp_path, sandbox, url, look_every=3600.0) as planning,
            staffed(tmp_path, sandbox, url, deliver=False) as other,
        ):
            await hold(planning, 40)
            sandbox.set(delay=0.2)
            await planning.call("POST", "", planning.fhir(first="plan", options={"page": 5}))

            async def under_way() -> bool:
                return len(searches(sandbox)) >= 3

            await until(under_way)
            assert (await other.call("POST", "/ehr/go")).status_code == 200
            asked = len(searches(sandbox))
            await asyncio.sleep(1.0)
            [begun, plan] = (await other.call("GET", "/ehr/syncs")).json()
            assert (plan["mode"], plan["status"], begun["status"]) == ("first", "done", "running")
            assert len(searches(sandbox)) <= asked + 1
            assert (await other.call("POST", "/ehr/sync")).json()["syncId"] == begun["syncId"]


async def test_two_thousand_are_planned_in_pages_and_after_a_restart(tmp_path: Path) -> None:
    sandbox = hms.create()
    with serve.running(sandbox) as url:
        async with staffed(tmp_path, sandbox, url) as office:
            for start in range(0, 2_000, 500):
                await hold(office, 500, start)
            await office.call("POST", "", office.fhir(first="plan", options={"page": 200}))
            [run] = (await office.call("GET", "/ehr/syncs")).json()

            async def under_way() -> bool:
                return (await office.call("GET", f"/ehr/syncs/{run['syncId']}")).json()["report"]["pages"] >= 3

            await until(under_way)
        async with staffed(tmp_path, sandbox, url) as office:
            plan = await office.ended("ehr", run["syncId"])
            assert (plan["status"], plan["report"]["seen"], plan["report"]["created"]) == ("planned", 2_000, 2_000)
            assert office.desk.sequence() == 0


async def test_polls_rest_while_a_first_contact_waits(tmp_path: Path) -> None:
    sandbox = hms.create()
    with serve.running(sandbox) as url:
        async with staffed(tmp_path, sandbox, url) as office:
            await hold(office, 2)
            await office.made(office.fhir(first="plan", sync=POLLING, push=False))
            [run] = (await office.call("GET", "/ehr/syncs")).json()
            await office.ended("ehr", run["syncId"])
            await asyncio.sleep(0.3)
            assert patients(office) == 0
        async with opened(tmp_path) as desk:  # a process that delivers nothing starts nothing either
            assert desk.counts().get("Patient", 0) == 0
