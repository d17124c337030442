"""`gateway reconcile`: a whole system read, compared field by field, and repaired when asked."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from gateway.commands import reconcile
from gateway.errors import Missing
from gateway.reconciling.comparing import Difference
from gateway.sandbox import canvas_partner, fhir_server, serve

from .desk import MRN, observation, opened, patient
from .test_deliveries import QUICK, Three, family
from .waiting import until

pytestmark = pytest.mark.anyio


@pytest.fixture
async def three(tmp_path: Path, anyio_backend: str) -> AsyncIterator[Three]:
    registry, partner = fhir_server.create(), canvas_partner.create()
    with serve.running(registry) as registry_url, serve.running(partner) as partner_url:
        async with opened(tmp_path, **QUICK) as desk:
            three = Three(desk, registry, partner, registry_url, partner_url)
            three.connect()
            yield three


async def look(three: Three, connector: str, *, repair: bool = False) -> list[Difference]:
    return await reconcile.differences(three.desk.context.settings, connector, repair=repair)


def told(found: list[Difference]) -> set[tuple[str, str]]:
    return {(one.kind, one.field) for one in found}


async def test_two_that_are_in_step_do_not_differ(three: Three) -> None:
    made = await three.desk.made_id(patient("Doe", (MRN, "1")))
    await three.desk.made_id(observation(f"Patient/{made}"))
    await three.quiet()
    before = len(three.writes(three.registry)), three.desk.sequence()
    assert await look(three, "registry") == [] and await look(three, "partner") == []
    assert (len(three.writes(three.registry)), three.desk.sequence()) == before
    with pytest.raises(Missing):
        await look(three, "nobody")


async def test_what_a_user_changed_there_unseen_is_told_and_taken_in(three: Three) -> None:
    made = await three.desk.made_id(patient("Doe", (MRN, "1")))
    await three.quiet()
    [theirs] = await three.at_partner()
    await three.edit_at_partner(theirs["id"], dateOfBirth="1981-01-01")
    [one] = await look(three, "partner")
    assert (one.kind, one.resource, one.there, one.field) == ("take", f"Patient/{made}", theirs["id"], "birthDate")
    assert (one.ours, one.theirs) == ("1980-02-22", "1981-01-01")
    assert "1981" not in str(one.to_json(values=False))
    assert (await three.desk.read(f"/Patient/{made}"))["birthDate"] == "1980-02-22", "a look changes nothing"
    await look(three, "partner", repair=True)
    await three.quiet()
    assert (await three.desk.read(f"/Patient/{made}"))["birthDate"] == "1981-01-01"
    assert [one["birthDate"] for one in await three.at_registry()] == ["1981-01-01"]
    assert await look(three, "partner") == [] and await look(three, "registry") == []


async def test_what_they_lost_is_told_and_sent_again(three: Three) -> None:
    """A backup was put back there: their copies are older than what they had accepted."""
    made = await three.desk.made_id(patient("Doe", (MRN, "1"), gender="female"))
    pulse = await three.desk.made_id(observation(f"Patient/{made}"))
    await three.quiet()
    [held] = await three.at_registry("Observation")
    await three.edit_at_registry({**held, "status": "preliminary"})
    found = await look(three, "registry")
    assert told(found) == {("send", "status")} and found[0].resource == f"Observation/{pulse}"
    await look(three, "registry", repair=True)
    await three.quiet()
    assert [one["status"] for one in await three.at_registry("Observation")] == ["final"]
    assert await look(three, "registry") == []


async def test_what_only_one_side_holds(three: Three) -> None:
    made = await three.desk.made_id(patient("Gone", (MRN, "1")))
    await three.quiet()
    [there] = await three.at_registry()
    async with httpx.AsyncClient(trust_env=False) as client:
        await client.delete(f"{three.registry_url}/fhir/Patient/{there['id']}")
        body = patient("Theirs", (MRN, "2"))
        (await client.post(f"{three.registry_url}/fhir/Patient", json=body)).raise_for_status()
    found = await look(three, "registry")
    assert {(one.kind, one.resource) for one in found} == {
        ("missing there", f"Patient/{made}"),
        ("unknown here", None),
    }
    await look(three, "registry", repair=True)

    async def theirs_is_here() -> bool:
        return [family(one) for one in await three.desk.found(f"/Patient?identifier={MRN}|2")] == ["Theirs"]

    await until(theirs_is_here)
    await three.quiet()
    assert told(await look(three, "registry")) == {("missing there", "*")}, "a person decides what that means"
    assert sorted(one["lastName"] for one in await three.at_partner()) == ["Gone", "Theirs"]


async def test_one_that_they_will_not_show_costs_no_other(three: Three) -> None:
    for name in ("First", "Second"):
        await three.desk.made_id(patient(name, (MRN, name)))
    await three.quiet()
    three.partner.set(status=400, methods=("GET",), times=1)
    found = await look(three, "partner")
    assert [(one.kind, one.field) for one in found] == [("held", "*")]
    assert "400" in str(found[0].why)
