"""Units: what is called UCUM is UCUM."""

from __future__ import annotations

import pytest

from gateway.translators.ccda.ucum import is_ucum

UNITS = "mm[Hg] mg/dL 10*3/uL 10*9/L 1 {score} [in_us] [pH] /min kg/m2 mL/min/{1.73_m2} mg/(kg.d) m[IU]/L % Cel a U/L"
OTHERS = "lbs in mcg Puffs tablet 10+3/ul milliLiter(s) cap(s) unit null 10X9cells/L ( { () mg//dL mg/3ml"


@pytest.mark.parametrize("unit", UNITS.split())
def test_ucum(unit: str) -> None:
    assert is_ucum(unit)


@pytest.mark.parametrize("unit", [*OTHERS.split(), "", "mg per dL", "m" * 100])
def test_no_ucum(unit: str) -> None:
    assert not is_ucum(unit)
