"""A real gateway process, killed (-9) at every moment: what it acknowledged is kept, what was due is made, once."""

from __future__ import annotations

import base64
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from http.client import HTTPException
from pathlib import Path
from typing import Any, TypeVar

import pytest

from gateway.commands import keys
from gateway.connectors.signature import sign
from gateway.fhir import json
from gateway.fhir.json import Resource
from gateway.sandbox.demo_gateway import Gateway
from gateway.sandbox.demo_http import Answer, call
from gateway.sandbox.demo_inputs import MRN_SYSTEM, PARTNER_ID, PARTNER_SYSTEM, SEED
from gateway.sandbox.demo_intake import SEED_PATH
from gateway.sandbox.demo_stage import Stage, staged
from gateway.store import Store, load_or_create_key

from .desk import bundle, entry, observation, patient

T = TypeVar("T")
PATIENCE = 30.0
DOCUMENT = Path(__file__).parents[2] / "fixtures" / "ccda" / "full-ccd.xml"


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    """As the demo's, its keys made without five commands."""
    with staged(tmp_path) as stage:
        stage.gateway.start()
        stage.apply_connectors(read=True)
        call("POST", f"{stage.partner.url}/_webhook", {"url": hook(stage), "secret": stage.webhook_secret})
        with opened(stage) as store:
            for name, scope in (("app", "system/*.cruds"), ("partner", "system/Patient.c"), ("clinic", "documents")):
                stage.keys[name] = keys.create(store, name, name, (scope,))
        yield stage


@contextmanager
def opened(stage: Stage) -> Iterator[Store]:
    """The gateway's database, beside it."""
    data = stage.folder / "data"
    store = Store.open(data / "gateway.db", key=load_or_create_key(data / "secret.key"), migrate=False)
    try:
        yield store
    finally:
        store.close()


def hook(stage: Stage) -> str:
    return f"{stage.gateway.url}/api/webhooks/partner"


def settle(stage: Stage) -> None:
    """Until nothing is due any more."""
    with opened(stage) as store:
        until(lambda: not store.query_now(lambda reader: reader.deliveries(["due", "unknown"], limit=1)))


def sequence(stage: Stage) -> int:
    with opened(stage) as store:
        return store.query_now(lambda reader: reader.last_seq())


def until(probe: Callable[[], T]) -> T:
    deadline = time.monotonic() + PATIENCE
    while not (found := probe()):
        assert time.monotonic() < deadline, f"it did not happen; last seen: {found!r}"
        time.sleep(0.05)
    return found


def made(stage: Stage, *entries: Resource, **headers: str) -> list[str]:
    """The `Type/id` of what a transaction made."""
    answer = stage.fhir("POST", "/", bundle("transaction", *entries), headers=headers)
    assert answer.status == 200, answer.body
    return [one["response"]["location"].partition("/_history/")[0] for one in answer.json["entry"]]


def new(family: str) -> Resource:
    return entry("POST", "Patient", patient(family, (MRN_SYSTEM, family)))


def families(stage: Stage) -> list[str]:
    """What the FHIR server holds, by family name; every one with all its identifiers once."""
    held = stage.at_registry("/Patient")
    ours = [one["value"] for each in held for one in each["identifier"] if one["system"].endswith("/fhir/Patient")]
    assert len(ours) == len(set(ours)), "one of ours is there twice"
    return sorted(one["name"][0]["family"] for one in held)


def partners(stage: Stage) -> list[str]:
    held = call("GET", f"{stage.partner.url}/_patients").json
    external = [one["externalId"] for one in held if "externalId" in one]
    assert len(external) == len(set(external)), "one of ours is there twice"
    return sorted(one["lastName"] for one in held if one["id"] != PARTNER_ID)


KNOBS: dict[str, dict[str, Any]] = {
    "before the effect": {"drop": "before"},
    "after the effect, before the answer": {"drop": "after"},
    "while they take their time": {"delay": 0.6},
}


@pytest.mark.parametrize("knobs", KNOBS.values(), ids=KNOBS)
def test_killed_while_it_delivers(stage: Stage, knobs: dict[str, Any]) -> None:
    names = [f"P{n}" for n in range(6)]
    for side in (stage.registry, stage.partner):
        side.app.set(**knobs, methods=["POST", "PUT", "PATCH"], times=4)
    ids = made(stage, *map(new, names))
    for pause in (0.05, 0.4):
        time.sleep(pause)
        stage.gateway.kill()
        stage.gateway.start()
    settle(stage)
    assert families(stage) == partners(stage) == names
    for one, name in zip(ids, names, strict=True):
        body = stage.fhir("GET", f"/{one}").json
        assert body["name"][0]["family"] == name and body["meta"]["versionId"] == "1"
    for side in (stage.registry, stage.partner):
        side.app.set(**knobs, methods=["POST", "PUT", "PATCH"], times=4)
    for one, name in zip(ids, names, strict=True):
        body = stage.fhir("GET", f"/{one}").json
        body["name"][0]["family"] = f"{name}-later"
        assert stage.fhir("PUT", f"/{one}", body).status == 200
    stage.gateway.kill()
    stage.gateway.start()
    settle(stage)
    assert families(stage) == partners(stage) == [f"{name}-later" for name in names]
    calls = len(stage.registry.calls()) + len(stage.partner.calls())
    versions = sequence(stage)
    time.sleep(0.6)
    assert len(stage.registry.calls()) + len(stage.partner.calls()) == calls and sequence(stage) == versions


class Load(threading.Thread):
    """A client that posts until it is told to stop, and remembers what was acknowledged."""

    def __init__(self, stage: Stage, name: str) -> None:
        super().__init__()
        self.stage = stage
        self.who = name
        self.acknowledged: dict[str, str] = {}
        self.tried: list[str] = []
        self.stopping = threading.Event()

    def run(self) -> None:
        number = 0
        while not self.stopping.is_set():
            name = f"{self.who}x{number}"
            number += 1
            self.tried.append(name)
            urn = "urn:uuid:7e1f6f0c-52c1-4cf5-9d0b-1a5d3c1f0a01"
            entries = [new(name) | {"fullUrl": urn}, entry("POST", "Observation", observation(urn))]
            try:
                answer = self.stage.fhir("POST", "/", bundle("transaction", *entries))
            except (OSError, HTTPException):
                self.stopping.wait(0.05)
                continue
            if answer.status == 200:
                self.acknowledged[name] = answer.json["entry"][0]["response"]["location"].partition("/_history/")[0]


def test_killed_under_load_it_loses_nothing_that_it_acknowledged(stage: Stage) -> None:
    for side in (stage.registry, stage.partner):
        side.app.set(down=True)
    loads = [Load(stage, f"L{n}") for n in range(4)]
    for load in loads:
        load.start()
    for _ in range(3):
        time.sleep(0.4)
        stage.gateway.kill()
        stage.gateway.start()
    time.sleep(0.3)
    for load in loads:
        load.stopping.set()
        load.join()
    acknowledged = {name: location for load in loads for name, location in load.acknowledged.items()}
    assert len(acknowledged) > 20
    for name, location in acknowledged.items():
        assert stage.fhir("GET", f"/{location}").json["name"][0]["family"] == name
    for name in (name for load in loads for name in load.tried):
        found = stage.found(f"/Patient?identifier={MRN_SYSTEM}|{name}")
        assert len(found) <= 1, "a transaction that was not acknowledged is there whole or not at all"
        if found:
            assert len(stage.found(f"/Observation?patient={found[0]['id']}")) == 1


def test_an_idempotency_key_outlives_the_process(stage: Stage) -> None:
    body = bundle("batch", entry("POST", "Observation", observation()), new("Once"))
    headers = {"Idempotency-Key": "k-1"}
    first = stage.fhir("POST", "/", body, headers=headers)
    stage.gateway.kill()
    stage.gateway.start()
    again = stage.fhir("POST", "/", body, headers=headers)
    assert again.body == first.body and len(stage.found("/Observation")) == 1


def tell(stage: Stage, event_id: str) -> Answer:
    content = json.encode({"id": event_id, "type": "patient.updated", "data": {"id": PARTNER_ID}})
    headers = sign(stage.webhook_secret, event_id, content, now=datetime.now(UTC))
    return call("POST", hook(stage), content, headers=headers)


def test_a_webhook_that_was_acknowledged_is_applied_after_a_kill(stage: Stage) -> None:
    seeded = call("POST", f"{stage.gateway.url}{SEED_PATH}", SEED, headers={"authorization": stage.keys["partner"]})
    assert seeded.status == 202
    settle(stage)
    asked = {"set": {"lastName": "Sample"}, "tell": False}
    assert call("POST", f"{stage.partner.url}/_edit/{PARTNER_ID}", asked).status == 200
    stage.partner.app.set(down=True)
    assert [tell(stage, f"evt_{n}").status for n in range(3)] == [200] * 3
    stage.gateway.kill()
    stage.partner.app.set()
    stage.gateway.start()

    def renamed() -> bool:
        [alice] = stage.found(f"/Patient?identifier={PARTNER_SYSTEM}|{PARTNER_ID}")
        return bool(alice["name"][0]["family"] == "Sample")

    until(renamed)
    with opened(stage) as store:
        until(lambda: not store.query_now(lambda reader: reader.messages("received", limit=1)))
    assert tell(stage, "evt_1").json["duplicate"] is True


def test_a_document_whose_answer_was_lost_is_sent_again_without_effect(stage: Stage) -> None:
    headers = {"Authorization": f"Bearer {stage.keys['clinic']}"}
    url = f"{stage.gateway.url}/api/documents"
    answers: list[Answer] = []

    def post() -> None:
        try:
            answers.append(call("POST", url, DOCUMENT.read_bytes(), headers=headers, kind="application/xml"))
        except (OSError, HTTPException):
            return

    for pause in (0.0, 0.05, 0.3, 1.0):
        thread = threading.Thread(target=post)
        thread.start()
        time.sleep(pause)
        stage.gateway.kill()
        thread.join()
        stage.gateway.start()
    post()
    before = sequence(stage)
    post()
    assert [one.status for one in answers[-2:]] == [200, 200] and sequence(stage) == before
    assert len({one.json["patient"] for one in answers}) == 1
    assert len(stage.found("/Patient")) == 1


def test_two_processes_on_one_database_make_one_patient(stage: Stage) -> None:
    second = Gateway(stage.folder)
    second.start()
    try:
        answers: list[Answer] = []
        body = patient("Raced", (MRN_SYSTEM, "raced"))
        headers = {"Authorization": f"Bearer {stage.keys['app']}"}

        def post(url: str) -> None:
            answers.append(call("POST", f"{url}/fhir/Patient", body, headers=headers, kind="application/fhir+json"))

        urls = [stage.gateway.url, second.url] * 16
        threads = [threading.Thread(target=post, args=(url,)) for url in urls]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert {one.status for one in answers} <= {200, 201}, [one.body for one in answers if one.status > 201]
        assert len({one.json["id"] for one in answers}) == 1
        settle(stage)
        assert families(stage) == partners(stage) == ["Raced"]
    finally:
        second.stop()


def test_the_log_of_a_whole_run_holds_nothing_of_what_was_sent(stage: Stage) -> None:
    """Everything goes wrong once: the log says so without saying what was in it."""
    family, given, mrn = "Zzyzxname", "Qwertgiven", "SECRETMRN4711"
    person = patient(family, (MRN_SYSTEM, mrn), name=[{"family": family, "given": [given]}])
    made(stage, entry("POST", "Patient", person))
    other = patient(
        "Othername", (MRN_SYSTEM, mrn), name=[{"family": "Othername", "given": ["Xavi"]}], birthDate="1950-05-05"
    )
    assert stage.fhir("POST", "/Patient", other).status == 409
    assert stage.fhir("POST", "/Patient", {**person, "gender": mrn}).status == 422
    assert stage.fhir("POST", "/Patient", f'{{"family":"{family}'.encode()).status == 400
    assert stage.fhir("GET", f"/Patient?identifier={MRN_SYSTEM}|{mrn}").status == 200
    assert stage.fhir("GET", f"/Patient/{mrn}").status == 404
    assert stage.fhir("GET", f"/{family}/{mrn}?x={given}").status == 404
    for side in (stage.registry, stage.partner):
        side.app.set(status=422, html=True, times=2)
    nameless = patient(family, name=[{"family": family}])
    made(stage, entry("POST", "Patient", nameless))
    document = DOCUMENT.read_bytes().replace(b"Thornquist", family.encode())
    headers = {"Authorization": f"Bearer {stage.keys['clinic']}"}
    assert call("POST", f"{stage.gateway.url}/api/documents", document, headers=headers, kind="text/xml").status == 200
    broken = document.replace(b"</ClinicalDocument>", b"")
    assert call("POST", f"{stage.gateway.url}/api/documents", broken, headers=headers, kind="text/xml").status == 400
    asked = {"set": {"lastName": f"{family}\u0001"}, "tell": True}
    call("POST", f"{stage.partner.url}/_edit/{PARTNER_ID}", asked)
    wrong = {"Authorization": f"Bearer {stage.keys['app']}x"}
    assert call("GET", f"{stage.gateway.url}/fhir/Patient", headers=wrong).status == 401
    time.sleep(1.0)
    stage.gateway.stop()
    log = (stage.folder / "gateway.log").read_bytes()
    assert log, "it says that it started"
    secret = base64.b64decode(stage.webhook_secret.removeprefix("whsec_"))
    parts = [family, given, mrn, "Othername", "Thornquist", "Larkfield", *stage.keys.values(), stage.webhook_secret]
    assert [part for part in parts if part.encode() in log] == []
    assert secret not in log and b"partner-secret-key" not in log
