"""What we serve in Metriport's shape, against the contract's own examples: the same members, of the same kinds.

So that our client and our server cannot err alike: both are held against what Metriport's documentation prints.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from gateway.fhir import json
from tests.conftest import SHARED
from tests.e2e.desk import MRN, Desk, bundle, entry, opened, patient

pytestmark = [pytest.mark.anyio, pytest.mark.shared]

EXAMPLES = SHARED / "partners" / "metriport-examples.json"


def example(name: str) -> Any:
    if not EXAMPLES.exists():
        pytest.skip("set GATEWAY_SHARED to the folder of the reference corpora")
    return json.decode(EXAMPLES.read_bytes())[name]


@pytest.fixture
async def desk(tmp_path: Path, anyio_backend: str) -> AsyncIterator[Desk]:
    async with opened(tmp_path) as desk:
        desk.connect({"name": "clinic", "profile": "intake", "push": False, "allow_networks": ["127.0.0.0/8"]})
        desk.made["key"] = desk.add_key("clinic", "clinic", "system/*.rs")
        yield desk


async def ask(desk: Desk, method: str, path: str, body: Any = None) -> Any:
    answer = await desk.call(method, path, body, key=desk.made["key"], kind="application/json")
    assert answer.status_code < 300, answer.text
    return answer.json()


async def ada(desk: Desk) -> str:
    posted = bundle("transaction", entry("PUT", f"Patient?identifier={MRN}|1", patient("Quill", (MRN, "1"))))
    answer = await desk.call("POST", "/fhir", posted)
    return str(answer.json()["entry"][0]["response"]["location"]).split("/")[1]


def kinds(value: Any) -> Any:
    """The shape of a value: members and what kind each is."""
    return {name: type(one).__name__ for name, one in value.items()}


WINDOW = "conversionType=pdf&resources=Observation,MedicationRequest&dateFrom=2021-01-01&dateTo=2021-01-31"


async def test_a_query_starts_as_printed(desk: Desk) -> None:
    id_ = await ada(desk)
    started = await ask(desk, "POST", f"/medical/v1/patient/{id_}/consolidated/query?{WINDOW}")
    printed = example("consolidated.start")
    assert kinds(started) == kinds(printed)
    same = ("status", "dateFrom", "dateTo", "conversionType")
    assert {name: started[name] for name in same} == {name: printed[name] for name in same}
    assert sorted(started["resources"]) == sorted(printed["resources"])


async def test_queries_are_listed_as_printed(desk: Desk) -> None:
    id_ = await ada(desk)
    await ask(desk, "POST", f"/medical/v1/patient/{id_}/consolidated/query?{WINDOW}")
    listed = await ask(desk, "GET", f"/medical/v1/patient/{id_}/consolidated/query")
    printed = example("consolidated.status")
    assert kinds(listed) == kinds(printed) and listed["message"] == printed["message"]
    assert kinds(listed["queries"][0]) == kinds(printed["queries"][0])


async def test_a_count_as_printed(desk: Desk) -> None:
    id_ = await ada(desk)
    path = f"/medical/v1/patient/{id_}/consolidated/count?dateFrom=2021-01-02&dateTo=2022-01-02"
    counted = await ask(desk, "GET", path)
    printed = example("consolidated.count")
    assert kinds(counted) == kinds(printed) and counted["filter"] == printed["filter"]


async def test_settings_as_printed(desk: Desk) -> None:
    given = await ask(desk, "POST", "/settings", {"webhookUrl": "https://server.example/webhook"})
    assert kinds(given) == kinds(example("settings.post"))
    assert kinds(await ask(desk, "GET", "/settings")) == kinds(example("settings.get"))


async def test_an_error_as_printed(desk: Desk) -> None:
    answer = await desk.call("GET", "/medical/v1/patient/nobody/consolidated/count", key=desk.made["key"])
    printed = example("error")
    assert kinds(answer.json()) == kinds(printed)
    assert {name: answer.json()[name] for name in ("status", "name", "title")} == {
        name: printed[name] for name in ("status", "name", "title")
    }


async def test_the_webhook_has_what_is_printed(desk: Desk) -> None:
    await ask(desk, "POST", "/settings", {"webhookUrl": "https://server.example/webhook"})
    id_ = await ada(desk)
    path = f"/medical/v1/patient/{id_}/consolidated/query?resources=Encounter,Observation"
    await ask(desk, "POST", path)
    from gateway.store.subscribers import log, subscribers

    rows = desk.store.query_now(lambda reader: log(reader, subscribers(reader)[0].subscriber_id))
    ping, told = [json.decode(row.body) for row in rows]
    assert kinds(ping) == kinds(example("webhook.ping")) and kinds(ping["meta"]) == kinds(
        example("webhook.ping")["meta"]
    )
    printed = example("webhook.medical.consolidated-data")
    assert kinds(told) == kinds(printed) and kinds(told["meta"]) == kinds(printed["meta"])
    ours, theirs = told["patients"][0], printed["patients"][0]
    assert kinds(ours).items() <= kinds(theirs).items(), "externalId and additionalIds only where they are known"
    assert theirs.keys() - ours.keys() <= {"externalId", "additionalIds"}
    assert ours["filters"] == theirs["filters"]
    entries = [one["bundle"]["entry"][0]["resource"] for one in (ours, theirs)]
    assert [[one["attachment"]["contentType"] for one in each["content"]] for each in entries] == [
        ["application/json", "application/gzip"]
    ] * 2
