"""Delivery promises: a system that is down, a login that is gone, dead letters, order of reference, loops, echoes."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from starlette.types import Receive, Scope, Send
from structlog.testing import capture_logs

from gateway.connectors.call import Found
from gateway.connectors.signature import sign
from gateway.delivery import health
from gateway.delivery.http import Outbound
from gateway.delivery.peers import Peers
from gateway.fhir import json
from gateway.fhir.json import Resource
from gateway.flow import Received
from gateway.intake import findings
from gateway.reconciling.reconcile import Pace, Reconciler
from gateway.sandbox import canvas_partner, fhir_server, serve
from gateway.sandbox.canvas_partner import API_KEY
from gateway.sandbox.faults import Sandbox

from .desk import MRN, OURS, bundle, decoded, entry, observation, opened, patient
from .test_deliveries import QUICK, Three, family, rename
from .waiting import until

pytestmark = pytest.mark.anyio

SLOW_RETRY = (0.0, *[60.0] * 9)
"""Nothing that failed comes back by itself within a test, or hardly."""
NO_RETRY = (0.0, *[36_000.0] * 9)


@asynccontextmanager
async def three_of(folder: Path, **settings: Any) -> AsyncIterator[Three]:
    registry, partner = fhir_server.create(), canvas_partner.create()
    with serve.running(registry) as registry_url, serve.running(partner) as partner_url:
        async with opened(folder, **{**QUICK, **settings}) as desk:
            three = Three(desk, registry, partner, registry_url, partner_url)
            three.connect()
            three.operator = desk.add_key(f"operator-{id(desk)}", "operator", "operator")  # type: ignore[attr-defined]
            yield three


def state(three: Three, connector: str) -> str | None:
    row = three.desk.ask(lambda reader: reader.health(connector))
    return row.state if row else None


def opened_causes(three: Three, connector: str) -> set[str]:
    return set(three.desk.ask(lambda reader: reader.open_incidents(connector)))


async def many(three: Three, names: list[str]) -> None:
    entries = [entry("POST", "Patient", patient(name, (MRN, name))) for name in names]
    for start in range(0, len(entries), 200):
        answer = await three.desk.fhir("POST", "", bundle("batch", *entries[start : start + 200]))
        assert answer.status_code == 200


async def partner_names(three: Three) -> list[str]:
    return sorted(one["lastName"] for one in await three.at_partner())


async def arrived(three: Three, names: list[str]) -> bool:
    return await partner_names(three) == sorted(names)


async def operate(three: Three, method: str, path: str, body: Any = None) -> Any:
    answer = await three.desk.call(method, path, body, key=three.operator, kind="application/json")  # type: ignore[attr-defined]
    assert answer.status_code == 200, answer.text
    return decoded(answer)


# --- a system that is down --------------------------------------------------------------------------------------------


async def test_a_broken_system_is_left_alone_then_probed_and_everything_waiting_goes_at_once(tmp_path: Path) -> None:
    async with three_of(tmp_path, retry_schedule=NO_RETRY, breaker_pause=0.5) as three, told_incidents() as told:
        three.registry.set(status=500)
        names = [f"P{n:02}" for n in range(30)]
        await many(three, names)

        async def circuit_is_open() -> bool:
            return state(three, "registry") == health.ERROR

        await until(circuit_is_open)
        await until(lambda: arrived(three, names))
        assert len(three.registry.log) <= 2 * 16, "what was under way when it opened, and no more"
        before = len(three.registry.log)
        await asyncio.sleep(0.9)
        assert len(three.registry.log) <= before + 2, "one probe at a time"
        [incident] = (await operate(three, "GET", "/api/incidents?open=true"))["incidents"]
        assert (incident["connector"], incident["cause"]) == ("registry", "unreachable")
        three.registry.set()

        async def all_there() -> bool:
            return sorted(map(family, await three.at_registry())) == names

        await until(all_there)
        await three.quiet()
        assert state(three, "registry") == health.CONNECTED and not opened_causes(three, "registry")
        [incident] = (await operate(three, "GET", "/api/incidents"))["incidents"]
        assert incident["closedAt"] and incident["times"] >= 1
        assert told() == ["incident opened", "incident closed"], "once each, however many failed"
        assert not three.deliveries("exhausted", "rejected", "due", "unknown")


@asynccontextmanager
async def told_incidents() -> AsyncIterator[Callable[[], list[str]]]:
    """What is logged of incidents, for whoever watches the log."""
    with capture_logs() as logs:
        yield lambda: [one["event"] for one in logs if one["event"].startswith("incident")]


async def test_an_outage_however_long_uses_up_no_attempts(tmp_path: Path) -> None:
    schedule = (0.0, 0.02, 0.02)  # the circuit opens with the second failure
    async with three_of(tmp_path, retry_schedule=schedule, breaker_pause=0.02, breaker_failures=2) as three:
        three.partner.set(down=True)
        made = await three.desk.made_id(patient("New", (MRN, "1")))  # she alone: nobody else tells of the outage
        await asyncio.sleep(1.0)
        assert not three.deliveries("exhausted", "rejected")
        assert opened_causes(three, "partner") == {"unreachable"}
        three.partner.set()
        await until(lambda: arrived(three, ["New"]))
        assert [one["externalId"] for one in await three.at_partner()] == [made]


async def test_one_probe_at_a_time_however_long_it_takes(tmp_path: Path) -> None:
    async with three_of(tmp_path, deliver=False) as three:
        await many(three, ["P1", "P2", "P3"])
        broken = health.fresh("registry", three.desk.store.now())._replace(state=health.ERROR, failures=9)
        three.desk.store.write_now(lambda tx: tx.put_health(broken))
        async with Outbound() as outbound:
            pace = Pace(NO_RETRY, lease=30.0)
            reconciler = Reconciler(three.desk.context.flow, outbound, Peers(no_secrets), pace)
            first, second = await reconciler.claim(9), await reconciler.claim(9)
        assert Counter(one.connector for one in first) == {"registry": 1, "partner": 3} and not second


async def no_secrets(_: str) -> dict[str, str]:
    return {}


async def test_a_thousand_flow_while_one_patient_fails_and_one_system_is_dead(tmp_path: Path) -> None:
    async with three_of(tmp_path, retry_schedule=SLOW_RETRY, breaker_pause=60.0, delivery_timeout=5.0) as three:
        three.registry.set(down=True)
        nameless = await three.desk.made_id(patient("Nameless", name=[{"family": "Nameless"}]))
        names = [f"P{n:04}" for n in range(1_000)]
        await many(three, names)

        async def all_at_partner() -> bool:
            return len(await three.at_partner()) == 1_000

        await until(all_at_partner, seconds=60)
        assert await arrived(three, names)
        [dead] = three.desk.ask(lambda reader: reader.orders("dead", limit=10))
        assert dead.connector == "partner" and dead.error == "creating a patient was answered with status 422"
        assert state(three, "registry") == health.ERROR and state(three, "partner") == health.CONNECTED
        owed = three.desk.ask(lambda reader: reader.backlog("registry"))
        assert owed.queued == 1_001 and owed.failed == 0
        assert (await three.desk.read(f"/Patient/{nameless}"))["name"] == [{"family": "Nameless"}]


async def test_a_login_that_is_no_longer_taken_loses_nothing(tmp_path: Path) -> None:
    async with three_of(tmp_path) as three:
        three.connect(auth={"scheme": "apiKey", "key": "an old one"})
        await three.desk.made_id(patient("First"))

        async def login_is_gone() -> bool:
            return state(three, "partner") == health.NEEDS_REAUTH

        await until(login_is_gone)
        calls = len(three.partner.log)
        made = [await three.desk.made_id(patient(f"P{n}")) for n in range(5)]

        async def registry_has_them() -> bool:
            return len(await three.at_registry()) == 6

        await until(registry_has_them)
        assert len(three.partner.log) == calls, "nothing is tried with a login that is not taken"
        assert {row.attempt for row in three.deliveries("due")} == {0} and opened_causes(three, "partner") == {"login"}
        assert not three.deliveries("rejected", "exhausted", "unknown")
        three.connect(auth={"scheme": "apiKey", "key": API_KEY})
        await until(lambda: arrived(three, ["First", *(f"P{n}" for n in range(5))]))
        await three.quiet()
        assert state(three, "partner") == health.CONNECTED and not opened_causes(three, "partner")
        assert {one["externalId"] for one in await three.at_partner()} >= set(made)


async def test_a_system_that_answers_an_operators_test_gets_what_waited_and_its_incident_is_over(
    tmp_path: Path,
) -> None:
    async with three_of(tmp_path, retry_schedule=SLOW_RETRY, breaker_pause=60.0) as three:
        three.partner.set(down=True)
        names = [f"P{n}" for n in range(6)]
        await many(three, names)

        async def circuit_is_open() -> bool:
            return state(three, "partner") == health.ERROR

        await until(circuit_is_open)
        three.partner.set()
        told = await operate(three, "POST", "/api/external-connectors/partner/test")
        assert told["status"] == "connected" and not opened_causes(three, "partner")
        await until(lambda: arrived(three, names))
        [incident] = (await operate(three, "GET", "/api/incidents"))["incidents"]
        assert incident["closedAt"]


async def test_credentials_that_are_patched_end_the_incident_of_the_login(tmp_path: Path) -> None:
    async with three_of(tmp_path, retry_schedule=SLOW_RETRY) as three:
        three.connect(auth={"scheme": "apiKey", "key": "an old one"})
        await three.desk.made_id(patient("First"))

        async def login_is_gone() -> bool:
            return state(three, "partner") == health.NEEDS_REAUTH

        await until(login_is_gone)
        patched = {"auth": {"scheme": "apiKey", "key": API_KEY}}
        await operate(three, "PATCH", "/api/external-connectors/partner", patched)
        assert not opened_causes(three, "partner")
        await until(lambda: arrived(three, ["First"]))


async def test_the_incident_of_a_system_that_is_taken_away_is_over(tmp_path: Path) -> None:
    async with three_of(tmp_path, retry_schedule=SLOW_RETRY, breaker_pause=60.0) as three:
        three.partner.set(down=True)
        await many(three, [f"P{n}" for n in range(6)])

        async def circuit_is_open() -> bool:
            return opened_causes(three, "partner") == {"unreachable"}

        await until(circuit_is_open)
        ended = await three.desk.call("DELETE", "/api/external-connectors/partner", key=three.operator)  # type: ignore[attr-defined]
        assert ended.status_code == 204 and not opened_causes(three, "partner")


async def test_who_asks_us_to_wait_is_not_called_until_then(tmp_path: Path) -> None:
    async with three_of(tmp_path) as three:
        three.partner.set(status=429, retry_after=1, times=1)
        await three.desk.made_id(patient("First"))

        async def was_asked() -> bool:
            return len(three.partner.log) == 1

        await until(was_asked)
        await many(three, [f"P{n}" for n in range(5)])
        await asyncio.sleep(0.5)
        assert len(three.partner.log) == 1, "the whole system waits, not one patient"
        await until(lambda: arrived(three, ["First", *(f"P{n}" for n in range(5))]))
        assert not three.deliveries("exhausted", "rejected")


async def test_no_more_calls_than_a_system_allows(tmp_path: Path) -> None:
    async with three_of(tmp_path, delivery_timeout=5.0) as three:
        three.partner.set(rate=20, rate_seconds=0.7)  # they count arrivals, which a busy machine crowds together
        three.connect(rateLimit={"requests": 20, "seconds": 1.0})
        names = [f"P{n:02}" for n in range(20)]
        await many(three, names)
        await until(lambda: arrived(three, names))
        assert [one["status"] for one in three.partner.log].count(429) == 0
        assert not three.deliveries("exhausted", "rejected")


async def test_to_wait_for_a_turn_uses_up_no_attempt(tmp_path: Path) -> None:
    async with three_of(tmp_path, retry_schedule=(0.0,), delivery_timeout=0.2) as three:
        three.connect(rateLimit={"requests": 2, "seconds": 2.0})  # a turn in two seconds, after the first
        await many(three, ["P1", "P2"])

        async def waits() -> bool:
            return [one.error for one in three.deliveries("due")] == ["partner is called as often as it allows"] * 2

        await until(waits)
        assert not three.deliveries("exhausted", "rejected") and state(three, "partner") != health.ERROR


# --- dead letters -----------------------------------------------------------------------------------------------------


async def test_dead_letters_are_listed_with_reasons_and_replayed_when_asked(tmp_path: Path) -> None:
    async with three_of(tmp_path) as three:
        three.partner.set(status=422, methods=["POST"])
        made = [await three.desk.made_id(patient(f"P{n}")) for n in range(4)]
        await three.quiet()
        listed = (await operate(three, "GET", "/api/deliveries"))["deliveries"]
        assert [one["patient"] for one in listed] == made and {one["state"] for one in listed} == {"rejected"}
        assert {one["error"] for one in listed} == {"creating a patient was answered with status 422"}
        three.partner.set()
        before = len(three.partner.log)
        dry = await operate(three, "POST", "/api/deliveries/replay", {"all": True, "dryRun": True})
        assert dry["count"] == 4 and len(three.partner.log) == before
        one = await operate(three, "POST", "/api/deliveries/replay", {"ids": [int(listed[0]["id"])]})
        assert one["count"] == 1
        await until(lambda: arrived(three, ["P0"]))
        none = await operate(three, "POST", "/api/deliveries/replay", {"connector": "registry"})
        assert none["count"] == 0
        early, late = "2020-01-01T00:00:00Z", "2120-01-01T00:00:00Z"
        for span, count in (({"until": early}, 0), ({"since": late}, 0), ({"since": early, "until": late}, 3)):
            asked = {**span, "dryRun": True}
            assert (await operate(three, "POST", "/api/deliveries/replay", asked))["count"] == count, span
        assert (await operate(three, "POST", "/api/deliveries/replay", {"connector": "partner"}))["count"] == 3
        await until(lambda: arrived(three, ["P0", "P1", "P2", "P3"]))
        await three.quiet()
        assert (await operate(three, "GET", "/api/deliveries"))["deliveries"] == []


async def test_what_was_given_up_is_not_tried_again_because_another_system_took_it(tmp_path: Path) -> None:
    async with three_of(tmp_path, delivery_timeout=10.0) as three:
        made = await three.desk.made_id(patient("New", (MRN, "1")))
        await three.quiet()
        three.partner.set(status=422, methods=["POST", "PUT", "PATCH"], times=1)
        with holding_answers(three.registry):
            await rename(three, made, "Newer")
            await until(lambda: _rejected(three))
        await three.quiet()
        assert [row.connector for row in three.deliveries("rejected")] == ["partner"]
        assert await partner_names(three) == ["New"]
        await rename(three, made, "Newest")
        await until(lambda: arrived(three, ["Newest"]))


async def test_a_replay_must_say_what_it_means_and_is_an_operators(tmp_path: Path) -> None:
    async with three_of(tmp_path) as three:
        ask = three.desk.call
        kinds: dict[str, Any] = {"key": three.operator, "kind": "application/json"}  # type: ignore[attr-defined]
        assert (await ask("POST", "/api/deliveries/replay", {}, **kinds)).status_code == 400
        assert (await ask("POST", "/api/deliveries/replay", {"everything": True}, **kinds)).status_code == 400
        assert (await ask("POST", "/api/deliveries/replay", {"ids": [7]}, **kinds)).status_code == 404
        for query in ("deliveries?state=lost", "deliveries?limit=many", "deliveries?after=-1", "incidents?open=maybe"):
            answer = await ask("GET", f"/api/{query}", **kinds)
            assert answer.status_code == 400 and answer.json()["title"] == "InvalidInput", query
        for path in ("/api/deliveries", "/api/incidents"):
            assert (await ask("GET", path)).status_code == 403, "not for every key"
            assert (await ask("GET", path, key="")).status_code == 401


async def test_resuming_a_paused_system_replays_no_old_failures(tmp_path: Path) -> None:
    async with three_of(tmp_path) as three:
        three.partner.set(status=422, methods=["POST"])
        await three.desk.made_id(patient("Old"))
        await three.quiet()
        three.desk.store.write_now(lambda tx: tx.set_connector_state("partner", "paused"))
        three.partner.set()
        await three.desk.made_id(patient("New"))
        await asyncio.sleep(0.3)
        calls = len(three.partner.log)
        three.desk.store.write_now(lambda tx: tx.set_connector_state("partner", "connected"))
        await until(lambda: arrived(three, ["New"]))
        await three.quiet()
        assert len(three.partner.log) > calls and await partner_names(three) == ["New"]
        assert [row.state for row in three.desk.ask(lambda reader: reader.orders("dead", limit=5))] == ["rejected"]


# --- order of reference -----------------------------------------------------------------------------------------------


def each(three: Three) -> None:
    """The FHIR server without transactions."""
    options = {"options": {"writes": "each"}}
    endpoint = {"endpoint": f"{three.registry_url}/fhir", "allow_networks": ["127.0.0.0/8"]}
    three.desk.connect({"name": "registry", "type": "FHIR", **endpoint, **options})


@pytest.mark.parametrize("whole", [True, False], ids=["transactions", "one by one"])
async def test_what_refers_waits_for_what_it_refers_to(tmp_path: Path, whole: bool) -> None:
    async with three_of(tmp_path, breaker_failures=100, retry_schedule=(0.0, *[0.3] * 20)) as three:
        if not whole:
            each(three)
        three.registry.set(status=500, times=2)
        urn, doctor = "urn:uuid:7e1f6f0c-52c1-4cf5-9d0b-1a5d3c1f0a01", "urn:uuid:7e1f6f0c-52c1-4cf5-9d0b-1a5d3c1f0a02"
        seen_by = {"performer": [{"reference": doctor}]}
        await three.desk.transact(
            entry("POST", "Observation", observation(urn, ("https://x.example", "1"), **seen_by)),
            entry("POST", "Patient", patient("New", (MRN, "1")), full_url=urn),
            entry("POST", "Practitioner", {"resourceType": "Practitioner"}, full_url=doctor),
        )
        other = await three.desk.made_id(patient("Other", (MRN, "2")))

        async def all_there() -> bool:
            return len(await three.at_registry("Observation")) == 1 and len(await three.at_registry()) == 2

        await until(all_there)
        await three.quiet()
        people = {family(one): one["id"] for one in await three.at_registry()}
        [pulse], [doc] = await three.at_registry("Observation"), await three.at_registry("Practitioner")
        assert pulse["subject"]["reference"] == f"Patient/{people['New']}"
        assert pulse["performer"][0]["reference"] == f"Practitioner/{doc['id']}"
        assert not three.deliveries("rejected", "exhausted"), "waiting is no failure"
        assert other


async def test_what_was_refused_there_holds_back_only_what_refers_to_it(tmp_path: Path) -> None:
    async with three_of(tmp_path, breaker_failures=100) as three:
        each(three)
        three.registry.set(status=422, methods=["POST"], times=1)
        made = await three.desk.made_id(patient("Refused", (MRN, "1")))
        await until(lambda: _rejected(three))
        await three.desk.made_id(observation(f"Patient/{made}"))
        await three.desk.made_id(patient("Fine", (MRN, "2")))

        async def fine_is_there() -> bool:
            return [family(one) for one in await three.at_registry()] == ["Fine"]

        await until(fine_is_there)
        [waiting] = (await operate(three, "GET", "/api/deliveries?state=due&connector=registry"))["deliveries"]
        assert waiting["error"] == f"waits for Patient/{made}, which was rejected" and int(waiting["attempts"]) == 0
        assert await three.at_registry("Observation") == []
        assert (await operate(three, "POST", "/api/deliveries/replay", {"all": True}))["count"] == 1
        [order] = three.desk.ask(lambda reader: reader.orders("waiting", "registry", limit=5))[-1:]
        await until(lambda: _holds(three, made))
        three.desk.store.write_now(lambda tx: tx.make_due("registry", limit=5))
        await three.quiet()
        assert order and len(await three.at_registry("Observation")) == 1


async def _rejected(three: Three) -> bool:
    return bool(three.deliveries("rejected"))


async def _holds(three: Three, made: str) -> bool:
    return any(one["value"] == made for each in await three.at_registry() for one in each["identifier"])


async def test_what_an_attempt_did_not_come_to_uses_up_none_of_its_own(tmp_path: Path) -> None:
    async with three_of(tmp_path, retry_schedule=SLOW_RETRY, breaker_failures=100) as three:
        made = await three.desk.made_id(patient("New", (MRN, "1")))
        await three.quiet()
        three.registry.set(status=500, methods=["GET"], times=1)
        await three.desk.transact(
            entry("PUT", f"Patient/{made}", {**patient("Newer", (MRN, "1")), "id": made}),
            entry("POST", "Observation", observation(f"Patient/{made}", ("https://x.example", "1"))),
        )

        async def the_reading_is_there() -> list[int]:
            orders = three.desk.ask(lambda reader: reader.orders("all", "registry", limit=9))
            return [one.attempt for one in orders] if [one.state for one in orders][1:] == ["done"] else []

        assert await until(the_reading_is_there) == [1, 0], "her own read failed, the reading was not tried"


async def test_what_another_system_answers_begins_no_schedule_anew(tmp_path: Path) -> None:
    """Each of its answers, or events, would make the failed one due at once, and give it all its attempts back."""
    async with three_of(tmp_path, retry_schedule=NO_RETRY, breaker_failures=100) as three:
        made = await three.desk.made_id(patient("New", (MRN, "1")))
        await three.quiet()
        before = len(three.registry.log)
        three.registry.set(status=500, methods=["GET"])
        three.partner.set(delay=0.1)
        await rename(three, made, "Newer")
        await until(lambda: arrived(three, ["Newer"]))
        await asyncio.sleep(0.3)
        assert len(three.registry.log) == before + 1


async def test_a_412_is_read_again_in_the_same_attempt(tmp_path: Path) -> None:
    async with three_of(tmp_path, retry_schedule=SLOW_RETRY) as three:
        made = await three.desk.made_id(patient("New", (MRN, "1")))
        await three.quiet()
        three.registry.set(status=412, methods=["POST"], times=2)
        await rename(three, made, "Newer")

        async def there() -> bool:
            return [family(one) for one in await three.at_registry()] == ["Newer"]

        await until(there)


# --- loops and echoes -------------------------------------------------------------------------------------------------


async def test_a_patient_that_is_written_again_and_again_is_stopped_until_released(tmp_path: Path) -> None:
    async with three_of(tmp_path, loop_writes=4) as three:
        made = await three.desk.made_id(patient("Loop", (MRN, "1")))
        for n in range(6):
            await _settled(three)
            await rename(three, made, f"Loop{n}")
        await _settled(three)
        writes = len(three.writes(three.partner))
        assert writes == 5, "the fifth write raises the alarm"
        assert opened_causes(three, "partner") == {f"loop Patient/{made}"}
        await three.desk.made_id(patient("Other", (MRN, "2")))

        async def other_is_there() -> bool:
            return "Other" in await partner_names(three)

        await until(other_is_there)
        listed = (await operate(three, "GET", "/api/deliveries?state=stopped&connector=partner"))["deliveries"]
        assert [one["patient"] for one in listed] == [made]
        body = {"connector": "partner", "patient": made}
        assert (await operate(three, "POST", "/api/deliveries/release", body))["released"] is True
        await until(lambda: arrived(three, ["Loop5", "Other"]))
        await _settled(three)
        assert not opened_causes(three, "partner"), "the count begins again"


async def _settled(three: Three) -> None:
    """Nothing is due but what is stopped."""

    async def settled() -> bool:
        stops = three.desk.ask(lambda reader: reader.stops())
        return all((row.connector, row.patient) in stops for row in three.deliveries("due", "unknown"))

    await until(settled)


FORMATS = ["phone", "case", "dates", "order"]


async def test_two_systems_that_rewrite_formats_settle_after_one_exchange(tmp_path: Path) -> None:
    async with three_of(tmp_path) as three:
        for side in (three.registry, three.partner):
            side.set(rewrite=FORMATS)
        phones = [
            {"system": "phone", "use": "home", "value": "+1 (555) 010-2030"},
            {"system": "phone", "use": "mobile", "value": "(555) 010-9999"},
        ]
        made = await three.desk.made_id(patient("Doe", (MRN, "1"), telecom=phones))
        await three.quiet()
        assert [len(three.writes(side)) for side in (three.registry, three.partner)] == [1, 1]
        [there], [partner] = await three.at_registry(), await three.at_partner()
        assert family(there) == "DOE" and partner["lastName"] == "DOE" and "T00" in partner["dateOfBirth"]
        # Whoever reads their side again sees rewriting, no edit.
        await rename(three, made, "Roe")
        await three.quiet()
        assert [len(three.writes(side)) for side in (three.registry, three.partner)] == [2, 2]
        now = await three.desk.read(f"/Patient/{made}")
        assert (family(now), now["meta"]["versionId"]) == ("Roe", "2")
        assert sorted(one["value"] for one in now["telecom"]) == ["(555) 010-9999", "+1 (555) 010-2030"]
        # A later edit on either side still arrives, once.
        await three.edit_at_partner(partner["id"], lastName="POE")
        await rename_birth(three, made, "1980-02-23")
        await three.quiet()
        [there], [partner] = await three.at_registry(), await three.at_partner()
        assert (family(there), partner["lastName"], there["birthDate"]) == ("POE", "POE", "1980-02-23")
        await three.edit_at_registry({**there, "name": [{"family": "LOE", "given": ["ADA"]}]})
        await rename_birth(three, made, "1980-02-24")
        await three.quiet()
        [there], [partner] = await three.at_registry(), await three.at_partner()
        assert (family(there), partner["lastName"], there["birthDate"]) == ("LOE", "LOE", "1980-02-24")
        assert partner["dateOfBirth"].startswith("1980-02-24")


async def test_an_edit_there_that_loses_is_overwritten_though_the_answer_to_a_write_came_after_it(
    tmp_path: Path,
) -> None:
    """It changes nothing here, so it makes no version; and the answer, which is older, may not hide it."""
    async with three_of(tmp_path, delivery_timeout=10.0) as three:
        app = {"name": "app", "profile": "intake", "push": False, "keySystems": [MRN], "priority": 10}
        three.desk.connect(app)
        made = await three.desk.made_id(patient("New", (MRN, "1"), gender="female"))
        await three.quiet()
        with holding_answers(three.registry) as held:
            await rename(three, made, "Newer")
            await until(held)
            [written] = await three.at_registry()
            assert family(written) == "Newer"
            await three.edit_at_registry({**written, "gender": "other"})
            await saw(three, {**written, "gender": "other"})
        await three.quiet()
        [there] = await three.at_registry()
        assert (family(there), there["gender"]) == ("Newer", "female")
        assert (await three.desk.read(f"/Patient/{made}"))["gender"] == "female"


@contextmanager
def holding_answers(side: Sandbox, method: str = "POST") -> Iterator[Callable[[], Awaitable[bool]]]:
    """Calls have their effect, and are answered at the end of the block; whether one waits for its answer."""
    inner, over, waiting = side.app, threading.Event(), threading.Event()

    async def held(scope: Scope, receive: Receive, send: Send) -> None:
        await inner(scope, receive, send)
        while scope["method"] == method and not over.is_set():
            waiting.set()
            await asyncio.sleep(0.01)

    async def is_waiting() -> bool:
        return waiting.is_set()

    side.app = held
    yield is_waiting
    over.set()
    side.app = inner


async def saw(three: Three, body: Resource) -> None:
    """A look at the registry meets this."""
    flow = three.desk.context.flow
    config = three.desk.ask(lambda reader: flow.directory(reader).peer("registry"))
    theirs = [one for one in body["identifier"] if one["system"] != OURS]
    found = Found("Patient", body["id"], {**body, "identifier": theirs})
    received = Received("registry", None, "poll", "application/json", findings.message_body([found]))
    [landed] = await findings.take(flow, received, config, [found], read_start=datetime.now(UTC))
    assert landed.error is None


async def rename_birth(three: Three, made: str, day: str) -> None:
    read = await three.desk.fhir("GET", f"/Patient/{made}")
    body = {**decoded(read), "birthDate": day}
    answer = await three.desk.fhir("PUT", f"/Patient/{made}", body, headers={"if-match": read.headers["etag"]})
    assert answer.status_code == 200, answer.text


async def test_a_webhook_that_comes_while_the_login_is_gone_is_applied_when_it_is_back(tmp_path: Path) -> None:
    """However long that takes: it uses up none of its tries."""
    async with three_of(tmp_path, retry_schedule=(0.0, 0.05, 0.05)) as three:
        secret = "whsec_dGhlIGxvZ2luJ3Mgb3duIGtleSBmb3Igd2ViaG9va3M="
        webhooks = {"sync": {"mode": "webhook", "secret": secret}}
        three.connect(**webhooks)
        made = await three.desk.made_id(patient("Doe", (MRN, "1")))
        await three.quiet()
        [theirs] = await three.at_partner()
        three.connect(auth={"scheme": "apiKey", "key": "an old one"}, **webhooks)
        await three.edit_at_partner(theirs["id"], lastName="Roe")
        content = json.encode({"id": "evt_1", "type": "patient.updated", "data": {"id": theirs["id"]}})
        headers = sign(secret, "evt_1", content, now=datetime.now(UTC))
        hook = three.desk.call("POST", "/api/webhooks/partner", content, kind="application/json", headers=headers)
        assert (await hook).status_code == 200

        async def login_is_gone() -> bool:
            return state(three, "partner") == health.NEEDS_REAUTH

        await until(login_is_gone)
        calls = len(three.partner.log)
        await asyncio.sleep(0.4)
        assert len(three.partner.log) == calls and len(three.desk.messages("received")) == 1
        three.connect(auth={"scheme": "apiKey", "key": API_KEY}, **webhooks)

        async def renamed() -> bool:
            return family(await three.desk.read(f"/Patient/{made}")) == "Roe"

        await until(renamed)
        assert not three.desk.messages("failed") and not opened_causes(three, "partner")
