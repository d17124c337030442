"""Two gateways deliver from one database, on SQLite and on PostgreSQL: everything arrives, nothing twice."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from gateway.sandbox import canvas_partner, fhir_server, serve
from tests.e2e.desk import MRN, opened, patient
from tests.e2e.test_deliveries import QUICK, Three, family, rename

pytestmark = pytest.mark.anyio

MANY = 12


async def test_two_gateways_share_the_work(database: str, tmp_path: Path) -> None:
    registry, partner = fhir_server.create(), canvas_partner.create()
    with serve.running(registry) as registry_url, serve.running(partner) as partner_url:
        async with opened(tmp_path, database, **QUICK) as one, opened(tmp_path, database, **QUICK) as two:
            two.key = one.key
            first, second = (Three(desk, registry, partner, registry_url, partner_url) for desk in (one, two))
            first.connect()
            for side in (registry, partner):
                side.set(drop="after", methods=["POST"], times=4)
            names = [f"P{n:02}" for n in range(MANY)]
            made = [await (one, two)[n % 2].made_id(patient(name, (MRN, name))) for n, name in enumerate(names)]
            await first.quiet()
            held = await first.at_registry()
            assert sorted(map(family, held)) == names
            assert sorted(item["lastName"] for item in await first.at_partner()) == names
            await asyncio.gather(*[rename((first, second)[n % 2], id_, f"Q{n:02}") for n, id_ in enumerate(made)])
            await second.quiet()
            assert sorted(map(family, await first.at_registry())) == [f"Q{n:02}" for n in range(MANY)]
            assert {item["externalId"] for item in await first.at_partner()} == set(made)
            assert not first.deliveries("rejected", "exhausted")
            creates = [call for call in partner.log if call["method"] == "POST" and call["path"] == "/patients/v2"]
            assert len(creates) == MANY, "an unknown outcome is read back, not sent again"


async def test_a_gateway_that_stops_gives_its_work_to_the_other(database: str, tmp_path: Path) -> None:
    registry, partner = fhir_server.create(), canvas_partner.create()
    with serve.running(registry) as registry_url, serve.running(partner) as partner_url:
        async with opened(tmp_path, database, **QUICK) as one:
            async with opened(tmp_path, database, **QUICK) as two:
                three = Three(one, registry, partner, registry_url, partner_url)
                three.connect()
                partner.set(delay=0.3)
                two.key = one.key
                made = [await two.made_id(patient(f"P{n}")) for n in range(6)]
            partner.set()
            await three.quiet()
            assert {item["externalId"] for item in await three.at_partner()} == set(made)
            assert len(await three.at_registry()) == 6


@pytest.mark.parametrize("lost", ["after", "before", None])
async def test_two_creates_4_ms_apart_make_one_patient_there(database: str, tmp_path: Path, lost: str | None) -> None:
    """The same person comes to two gateways at once, and answers get lost on the way to both systems."""
    registry, partner = fhir_server.create(), canvas_partner.create()
    with serve.running(registry) as registry_url, serve.running(partner) as partner_url:
        async with opened(tmp_path, database, **QUICK) as one, opened(tmp_path, database, **QUICK) as two:
            two.key = one.key
            three = Three(one, registry, partner, registry_url, partner_url)
            three.connect()
            if lost:
                for side in (registry, partner):
                    side.set(drop=lost, methods=["POST"], times=2)

            async def create(number: int) -> int:
                await asyncio.sleep(0.004 * number)
                return (await (one, two)[number % 2].post(patient("Once", (MRN, "once")))).status_code

            statuses = await asyncio.gather(*[create(number) for number in range(4)])
            assert set(statuses) <= {200, 201}
            await three.quiet()
            [there], [theirs] = await three.at_registry(), await three.at_partner()
            assert family(there) == theirs["lastName"] == "Once"
            creates = [call for call in partner.log if call["method"] == "POST" and call["status"] == 201]
            assert len(creates) == 1, "an unknown outcome is read back before any create"
            assert not three.deliveries("rejected", "exhausted")
