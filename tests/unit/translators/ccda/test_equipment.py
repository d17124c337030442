"""Devices with the parts of their UDI, supplies, medications handed over and given."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from fhir.resources.R4B import get_fhir_model_class

from gateway.fhir import gate

from .written import codes, converted, of_type, only, section

ROOT = "2.16.840.1.113883.10.20.22.4."
SNOMED = "http://snomed.info/sct"
RXNORM = "http://www.nlm.nih.gov/research/umls/rxnorm"
UDI = "(01)00848486001048(17)260512(10)ABC123(21)77"
DRUG = f"""<manufacturedProduct><templateId root="{ROOT}23"/><manufacturedMaterial>
<code code="197361" codeSystem="2.16.840.1.113883.6.88"/></manufacturedMaterial></manufacturedProduct>"""


def instance(identifier: str = f'<id root="2.16.840.1.113883.3.3719" extension="{UDI}"/>', kind: str = "DEV") -> str:
    return f"""<participant typeCode="{kind}"><participantRole classCode="MANU">
    <templateId root="{ROOT}37"/>{identifier}
    <playingDevice><code code="14106009" codeSystem="2.16.840.1.113883.6.96"/>
    <manufacturerModelName>Pace One</manufacturerModelName></playingDevice>
    <scopingEntity><desc>Sample Devices</desc></scopingEntity></participantRole></participant>"""


def part(code: str, value: str) -> str:
    return f"""<component><observation classCode="OBS" moodCode="EVN">
    <code code="{code}" codeSystem="2.16.840.1.113883.3.26.1.1"/>{value}</observation></component>"""


def implanting(more: str) -> str:
    return f"""<procedure classCode="PROC" moodCode="EVN"><templateId root="{ROOT}14"/><id root="1.1" extension="op"/>
    <code code="233174007" codeSystem="2.16.840.1.113883.6.96"/><statusCode code="completed"/>
    <effectiveTime value="20240301"/>{more}</procedure>"""


def test_an_implant_is_a_device_of_the_patient() -> None:
    result = converted(section("47519-4", implanting(instance())))

    device = only(result, "Device")
    assert device["udiCarrier"] == [{"deviceIdentifier": "00848486001048", "carrierHRF": UDI}]
    assert codes(device["type"]) == [(SNOMED, "14106009")]
    assert device["patient"] == {"reference": "Patient/p1"}
    assert device["manufacturer"] == "Sample Devices"
    assert device["deviceName"] == [{"name": "Pace One", "type": "model-name"}]
    assert only(result, "Procedure")["focalDevice"] == [{"manipulated": {"reference": f"Device/{device['id']}"}}]
    assert gate.check(result.bundle) == []


def test_the_parts_of_a_udi_go_to_its_device() -> None:
    parts = [
        part("C101722", '<value xsi:type="II" root="1.3.160" extension="00848486001048"/>'),
        part("C101672", '<value xsi:type="ED">LOT-9</value>'),
        part("C101671", '<value xsi:type="ED">SER-7</value>'),
        part("C101669", '<value xsi:type="TS" value="20240102"/>'),
        part("C101670", '<value xsi:type="TS" value="2030"/>'),
        part("C99285", '<value xsi:type="ED">M-1</value>'),
        part("C71898", '<value xsi:type="ED">Steady</value>'),
        part("C106044", '<value xsi:type="CD" code="C106045" codeSystem="2.16.840.1.113883.3.26.1.1"/>'),
    ]
    organizer = f"""<entryRelationship typeCode="COMP"><organizer classCode="CLUSTER" moodCode="EVN">
    <templateId root="{ROOT}311"/>{"".join(parts)}</organizer></entryRelationship>"""

    result = converted(section("47519-4", implanting(instance('<id root="1.1" extension="d"/>') + organizer)))

    device = only(result, "Device")
    assert device["udiCarrier"] == [{"deviceIdentifier": "00848486001048"}]
    assert (device["lotNumber"], device["serialNumber"], device["modelNumber"]) == ("LOT-9", "SER-7", "M-1")
    assert (device["manufactureDate"], device["expirationDate"]) == ("2024-01-02", "2030")
    assert {"name": "Steady", "type": "user-friendly-name"} in device["deviceName"]
    assert codes(device["safety"][0])[0][1] == "C106045"
    assert not of_type(result, "Observation"), "the parts of a UDI are no observations"
    assert gate.check(result.bundle) == []


def supply(mood: str, template: str, inner: str) -> str:
    return f"""<supply classCode="SPLY" moodCode="{mood}"><templateId root="{ROOT}{template}"/>
    <id root="1.1" extension="s"/>{inner}</supply>"""


def test_a_supply_in_use_names_its_device() -> None:
    inner = f"""<statusCode code="completed"/><effectiveTime xsi:type="IVL_TS"><low value="2024"/></effectiveTime>
    {instance('<id root="1.1" extension="cane"/>', "PRD")}"""

    result = converted(section("46264-8", supply("EVN", "50", inner)))

    use, device = only(result, "DeviceUseStatement"), only(result, "Device")
    assert use["device"] == {"reference": f"Device/{device['id']}"}
    assert (use["status"], use["subject"]) == ("completed", {"reference": "Patient/p1"})
    assert use["timingPeriod"] == {"start": "2024"}
    assert gate.check(result.bundle) == []


def test_who_is_to_deliver_a_device() -> None:
    entry = f"""<supply classCode="SPLY" moodCode="RQO"><templateId root="{ROOT}43"/><performer><assignedEntity>
    <id root="1.7" extension="7"/></assignedEntity></performer>{instance(kind="PRD")}</supply>"""

    result = converted(section("18776-5", entry))

    who = {"reference": f"Practitioner/{only(result, 'Practitioner')['id']}"}
    assert only(result, "DeviceRequest")["performer"] == who


def test_a_supply_that_is_asked_for_is_a_request() -> None:
    inner = f'<statusCode code="active"/><effectiveTime value="20240601"/>{instance(kind="PRD")}'

    result = converted(section("18776-5", supply("RQO", "43", inner)))

    request = only(result, "DeviceRequest")
    assert (request["status"], request["intent"], request["occurrenceDateTime"]) == ("active", "order", "2024-06-01")
    assert not of_type(result, "DeviceUseStatement")
    assert gate.check(result.bundle) == []


def activity(inner: str = "", attributes: str = "") -> str:
    return f"""<substanceAdministration classCode="SBADM" moodCode="EVN" {attributes}><templateId root="{ROOT}16"/>
    <id root="1.1" extension="med"/><statusCode code="completed"/>
    <effectiveTime value="202405011030-0500"/><doseQuantity value="2.0" unit="mg"/>
    <consumable>{DRUG}</consumable>{inner}</substanceAdministration>"""


def test_what_was_given_during_the_visit_is_an_administration() -> None:
    result = converted(section("29549-3", activity()))

    given = only(result, "MedicationAdministration")
    assert codes(given["medicationCodeableConcept"]) == [(RXNORM, "197361")]
    assert (given["status"], given["effectiveDateTime"]) == ("completed", "2024-05-01T10:30:00-05:00")
    assert given["dosage"]["dose"]["value"] == Decimal("2.0")
    assert not of_type(result, "MedicationRequest")
    assert gate.check(result.bundle) == []


def test_when_it_was_given_is_not_known() -> None:
    """R4 demands one of the two times: the strict model of it counts what the element holds, not its `_` twin."""
    entry = activity().replace('<effectiveTime value="202405011030-0500"/>', "")

    result = converted(section("29549-3", entry))

    given = only(result, "MedicationAdministration")
    assert given["effectivePeriod"]["extension"][0]["valueCode"] == "unknown"
    assert gate.check(result.bundle) == []
    get_fhir_model_class("MedicationAdministration").model_validate(given)


def test_what_was_not_given_says_so() -> None:
    result = converted(section("29549-3", activity(attributes='negationInd="true"')))

    assert only(result, "MedicationAdministration")["status"] == "not-done"


def dispensed(product: str) -> str:
    return supply(
        "EVN",
        "18",
        f'<statusCode code="completed"/><effectiveTime value="20240502"/><quantity value="30"/>{product}',
    )


def test_a_dispense_names_its_prescription() -> None:
    entry = activity(f'<entryRelationship typeCode="REFR">{dispensed("")}</entryRelationship>')

    result = converted(section("10160-0", entry))

    handed, request = only(result, "MedicationDispense"), only(result, "MedicationRequest")
    assert handed["authorizingPrescription"] == [{"reference": f"MedicationRequest/{request['id']}"}]
    assert handed["medicationCodeableConcept"] == request["medicationCodeableConcept"]
    assert (handed["status"], handed["whenHandedOver"]) == ("completed", "2024-05-02")
    assert handed["quantity"]["value"] == Decimal(30)
    assert gate.check(result.bundle) == []


def test_a_dispense_alone_needs_its_own_medication() -> None:
    with_one = converted(section("10160-0", dispensed(f"<product>{DRUG}</product>")))
    without = converted(section("10160-0", dispensed("")))

    assert codes(only(with_one, "MedicationDispense")["medicationCodeableConcept"]) == [(RXNORM, "197361")]
    assert not of_type(without, "MedicationDispense")
    assert len(without.report["sections"][0]["notUnderstood"]) == 1


def test_a_supply_order_alone_is_a_request() -> None:
    inner = f'<statusCode code="active"/><repeatNumber value="3"/><quantity value="90"/><product>{DRUG}</product>'

    request = only(converted(section("10160-0", supply("INT", "17", inner))), "MedicationRequest")

    assert (request["intent"], request["status"]) == ("order", "active")
    assert request["dispenseRequest"] == {"numberOfRepeatsAllowed": 2, "quantity": {"value": Decimal(90)}}


def immunized(more: str) -> dict[str, Any]:
    entry = f"""<substanceAdministration classCode="SBADM" moodCode="EVN"><templateId root="{ROOT}52"/>
    <id root="1.1" extension="imm"/><statusCode code="completed"/><effectiveTime value="20240105"/>
    <consumable><manufacturedProduct><manufacturedMaterial><code code="140" codeSystem="2.16.840.1.113883.12.292"/>
    </manufacturedMaterial></manufacturedProduct></consumable>{more}</substanceAdministration>"""
    return only(converted(section("11369-6", entry)), "Immunization")


@pytest.mark.parametrize(
    "more",
    [
        '<repeatNumber value="2"/>',
        f"""<entryRelationship typeCode="COMP"><sequenceNumber value="2"/><act classCode="ACT" moodCode="EVN">
        <templateId root="{ROOT}118"/></act></entryRelationship>""",
        """<entryRelationship typeCode="SUBJ"><observation classCode="OBS" moodCode="EVN">
        <code code="30973-2" codeSystem="2.16.840.1.113883.6.1"/><value xsi:type="INT" value="2"/></observation>
        </entryRelationship>""",
    ],
)
def test_the_number_of_a_dose(more: str) -> None:
    assert immunized(more)["protocolApplied"] == [{"doseNumberPositiveInt": 2}]
