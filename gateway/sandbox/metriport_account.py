"""An account of Metriport's sandbox: patients, facilities, the organization, bulk creates (metriport.md, "Patient
model")."""

from __future__ import annotations

import csv
import hashlib
import io
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from gateway.fhir import json
from gateway.sandbox import metriport_shapes as shapes
from gateway.sandbox.metriport_hooks import Hooks, now
from gateway.sandbox.metriport_http import Asked, Clock, Refusal, Said, Storage, invalid, missing, new_id, page
from gateway.sandbox.metriport_match import match

FACILITY = {
    "id": "0190c2a4-5b1e-7c0a-8f2d-3e6a9b7c1d01",
    "oid": "2.25.59778615075790855151715354782056170808.20.1",
    "name": "Hollin Reach Clinic",
    "npi": "1234567893",
    "active": True,
    "address": {
        "addressLine1": "9 Tiller Row",
        "addressLine2": "Suite 2",
        "city": "Hollin Reach",
        "state": "DE",
        "zip": "19999",
        "country": "USA",
    },
}
EHRS = ("athenahealth", "canvas", "elation", "healthie")
_UPLOAD_SECONDS, _RESULT_SECONDS = 600, 180
_WORD = re.compile(r'([+-]?)(?:"([^"]*)"|(\S+))')

Patient = dict[str, Any]


@dataclass(slots=True)
class Account:
    """Everything one key sees. `base` = where the last caller reached us: webhooks name addresses under it."""

    patient_limit: int = 100
    clock: Clock = field(default_factory=Clock)
    hooks: Hooks = field(default_factory=Hooks)
    storage: Storage = field(init=False)
    patients: dict[str, Patient] = field(default_factory=dict)
    facilities: dict[str, dict[str, Any]] = field(default_factory=lambda: {FACILITY["id"]: dict(FACILITY)})  # type: ignore[dict-item]
    organization: dict[str, Any] | None = None
    bulks: dict[str, dict[str, Any]] = field(default_factory=dict)
    opted_out: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.storage = Storage(self.clock)

    def patient(self, asked: Asked, *, by: str = "query") -> Patient:
        """The patient of `patientId` in the query, or of the path."""
        wanted = asked.path["id"] if by == "path" else asked.need("patientId")
        if wanted not in self.patients:
            raise missing(f"patient {wanted}")
        return self.patients[wanted]

    def facility(self, asked: Asked) -> str:
        wanted = asked.need("facilityId")
        if wanted not in self.facilities:
            raise missing(f"facility {wanted}")
        return wanted

    def names(self, patient: Patient) -> dict[str, Any]:
        """How every webhook names a patient."""
        named = {"patientId": patient["id"], "externalId": patient.get("externalId")}
        named["additionalIds"] = patient["additionalIds"] or None
        return {key: value for key, value in named.items() if value}

    # --- patients -----------------------------------------------------------------------------------------------------

    def create(self, asked: Asked) -> Said:
        facility = self.facility(asked)
        body = shapes.patient(asked.object())
        known = match(body, self.patients.values())
        if known is not None:
            if facility not in known["facilityIds"]:
                known["facilityIds"].append(facility)
            return Said(known, 201)
        return Said(self.add(body, facility), 201)

    def add(self, body: Mapping[str, Any], facility: str) -> Patient:
        if len(self.patients) >= self.patient_limit:
            raise shapes.sandbox_limit(self.patient_limit)
        made: Patient = {"id": new_id(), "facilityIds": [facility], "additionalIds": {}, "dateCreated": now(), **body}
        self.patients[made["id"]] = _stamped(made)
        return made

    def update(self, asked: Asked) -> Patient:
        self.facility(asked)
        patient, body = self.patient(asked, by="path"), asked.object()
        self._check_version(asked, patient)
        fresh = shapes.patient(body)
        for name in ("contact", "personalIdentifiers"):
            if name not in fresh:
                patient.pop(name, None)
        patient.update(fresh)
        return _stamped(patient)

    def _check_version(self, asked: Asked, held: Mapping[str, Any]) -> None:
        body = asked.body if isinstance(asked.body, dict) else {}
        wanted = asked.headers.get("if-match") or body.get("eTag")
        if wanted and wanted.strip('"') != held.get("eTag"):
            raise Refusal(412, "eTags don't match")

    def read(self, asked: Asked) -> Patient:
        return self.patient(asked, by="path")

    def listed(self, asked: Asked) -> dict[str, Any]:
        facility = asked.query.get("facilityId")
        rows = [one for one in self.patients.values() if facility in (None, "", *one["facilityIds"])]
        meta, shown = page(asked, [one for one in rows if _fits(one, asked.query.get("filters", ""))])
        return {"meta": meta, "patients": shown}

    def match(self, asked: Asked) -> Patient:
        found = match(shapes.patient(asked.object()), self.patients.values())
        if found is None:
            raise missing("patient")
        return found

    def by_external_id(self, asked: Asked) -> Patient:
        wanted, source = asked.need("externalId"), asked.query.get("source")
        if source and source not in EHRS:
            raise invalid((f"Invalid source. Expected one of {', '.join(EHRS)}", "query,source"))
        for one in self.patients.values():
            ids = one["additionalIds"].get(source, []) if source else [one.get("externalId")]
            if wanted in ids:
                return one
        raise missing("patient")

    def delete(self, asked: Asked) -> Said:
        self.facility(asked)
        patient = self.patient(asked, by="path")
        self._check_version(asked, patient)
        del self.patients[patient["id"]]
        return Said(status=204)

    def opt_out(self, asked: Asked) -> dict[str, Any]:
        patient, out = self.patient(asked, by="path"), asked.need("hieOptOut").lower()
        if out not in ("true", "false"):
            raise invalid(("Expected boolean", "query,hieOptOut"))
        (self.opted_out.add if out == "true" else self.opted_out.discard)(patient["id"])
        verb = "opted out of" if out == "true" else "opted in to"
        return {"id": patient["id"], "hieOptOut": out == "true", "message": f"Patient has been {verb} data sharing"}

    def sync_external(self, asked: Asked) -> dict[str, Any]:
        patient, source = self.patient(asked, by="path"), asked.query.get("source")
        held = {name: ids for name, ids in patient["additionalIds"].items() if source in (None, "", name)}
        if source and source not in EHRS:
            raise invalid((f"Invalid source. Expected one of {', '.join(EHRS)}", "query,source"))
        if len(held) > 1 or any(len(ids) > 1 for ids in held.values()):
            raise Refusal(400, "The EHR is ambiguous, pass its source")
        ids = next(iter(held.values()), None) or [patient.get("externalId", "")]
        return {"patientId": patient["id"], "externalId": ids[0]}

    def patient_facilities(self, asked: Asked) -> dict[str, Any]:
        """Set, or list, where a patient is seen."""
        patient = self.patient(asked, by="path")
        if asked.body is not None:
            wanted = asked.object().get("facilityIds")
            if not isinstance(wanted, list) or not wanted or not set(wanted) <= self.facilities.keys():
                raise invalid(("Every facility must be one of the account", "facilityIds"))
            patient["facilityIds"] = list(dict.fromkeys(wanted))
        return {"facilities": [self.facilities[one] for one in patient["facilityIds"]]}

    # --- bulk create --------------------------------------------------------------------------------------------------

    def bulk(self, asked: Asked) -> dict[str, Any]:
        facility, request = self.facility(asked), new_id()
        dry = asked.flag("dryRun")
        self.bulks[request] = {
            "requestId": request,
            "status": "waiting",
            "until": self.clock.now() + _UPLOAD_SECONDS,
            "dryRun": dry,
        }

        def put(data: bytes, _: str) -> None:
            self._create_many(request, facility, data, asked.base)

        url = self.storage.upload(asked.base, _UPLOAD_SECONDS, put, "text/csv")
        return {"requestId": request, "status": "waiting", "uploadUrl": url}

    def bulk_status(self, asked: Asked) -> dict[str, Any]:
        found = self.bulks.get(asked.path["request"])
        if found is None:
            raise missing("bulk patient create request")
        if found["status"] == "waiting" and self.clock.now() >= found["until"]:
            found["status"] = "expired"
        return {key: value for key, value in found.items() if key != "until"}

    def _create_many(self, request: str, facility: str, data: bytes, base: str) -> None:
        held = self.bulks[request]
        self._tell_bulk(request, {"status": "processing"})
        try:
            rows = list(csv.DictReader(io.StringIO(data.decode("utf-8-sig"))))
        except UnicodeDecodeError:
            rows = []
        if not rows:
            held |= {"status": "failed", "reason": "The CSV file is empty or cannot be read"}
            self._tell_bulk(request, {"status": "failed", "reason": held["reason"]})
            return
        results = [self._create_row(row, facility, dry=held["dryRun"]) for row in rows]
        counts = {state: sum(one["status"] == state for one in results) for state in ("success", "failed")}
        held |= {"status": "completed", "total": len(rows), "successful": counts["success"], "failed": counts["failed"]}
        url = self.storage.url(base, _written(results), "text/csv", _RESULT_SECONDS)
        self._tell_bulk(request, {"status": "completed", "result": url})

    def _create_row(self, row: Mapping[str, str | None], facility: str, *, dry: bool) -> dict[str, str]:
        try:
            body = shapes.patient(_from_row(row))
            made: Mapping[str, Any] = {} if dry else match(body, self.patients.values()) or self.add(body, facility)
        except Refusal as refusal:
            return {
                "externalId": row.get("externalId") or "",
                "status": "failed",
                "patientId": "",
                "reason": str(refusal),
            }
        found = {"externalId": row.get("externalId") or "", "status": "success", "patientId": made.get("id", "")}
        return {**found, "reason": ""}

    def _tell_bulk(self, request: str, more: Mapping[str, Any]) -> None:
        body = {"bulkPatientCreate": {"requestId": request, **more}}
        self.hooks.tell("medical.bulk-patient-create", body, request=request)

    # --- facilities and the organization ------------------------------------------------------------------------------

    def create_facility(self, asked: Asked) -> Said:
        body = shapes.facility(asked.object())
        oid = f"{FACILITY['oid']}.{len(self.facilities)}"
        made = _stamped({"id": new_id(), "oid": oid, **body})
        self.facilities[made["id"]] = made
        return Said(made, 201)

    def facilities_listed(self, _: Asked) -> dict[str, Any]:
        return {"facilities": list(self.facilities.values())}

    def one_facility(self, asked: Asked) -> Any:
        """Read, change or remove one."""
        held = self.facilities.get(asked.path["id"])
        if held is None:
            raise missing(f"facility {asked.path['id']}")
        if asked.body is not None:
            self._check_version(asked, held)
            held.update(shapes.facility(asked.object()))
            return _stamped(held)
        return held

    def remove_facility(self, asked: Asked) -> Said:
        held = self.one_facility(asked)
        if any(held["id"] in one["facilityIds"] for one in self.patients.values()):
            raise Refusal(400, "Facility still has patients")
        del self.facilities[held["id"]]
        return Said(status=204)

    def put_organization(self, asked: Asked) -> Said:
        body = shapes.organization(asked.object())
        created = self.organization is None
        if self.organization is not None:
            self._check_version(asked, self.organization)
        held = self.organization or {"id": new_id(), "oid": "2.25.59778615075790855151715354782056170808.20"}
        self.organization = _stamped({**held, **body})
        return Said(self.organization, 201 if created else 200)

    def get_organization(self, _: Asked) -> Any:
        if self.organization is None:
            raise missing("organization")
        return self.organization


def _stamped(held: dict[str, Any]) -> dict[str, Any]:
    """With a new eTag for what it says now."""
    content = {name: value for name, value in held.items() if name not in ("eTag", "dateCreated")}
    held["eTag"] = hashlib.sha256(json.canonical(content)).hexdigest()[:24]
    return held


def _fits(patient: Patient, filters: str) -> bool:
    """Full text: words are wanted, `-word` is not, `+word` must be there, quotes make a phrase."""
    text = " ".join(map(str, _words(patient))).lower()
    asked = [(sign, (phrase or word).lower()) for sign, phrase, word in _WORD.findall(filters)]
    plain = [word for sign, word in asked if not sign]
    wanted = all(word in text for sign, word in asked if sign == "+") and (
        not plain or any(word in text for word in plain)
    )
    return wanted and not any(word in text for sign, word in asked if sign == "-")


def _words(value: Any) -> Iterable[Any]:
    if isinstance(value, dict):
        for one in value.values():
            yield from _words(one)
    elif isinstance(value, list):
        for one in value:
            yield from _words(one)
    else:
        yield value


def _from_row(row: Mapping[str, str | None]) -> dict[str, Any]:
    """A line of the CSV as a patient: the model's own names, one address, one contact."""
    cells = {name: (value or "").strip() for name, value in row.items() if name}
    address = {name: cells.get(name, "") for name in ("addressLine1", "addressLine2", "city", "state", "zip")}
    address["country"] = cells.get("country") or "USA"
    names = ("firstName", "lastName", "dob", "genderAtBirth", "externalId")
    body: dict[str, Any] = {name: cells[name] for name in names if cells.get(name)}
    body["address"] = [{name: value for name, value in address.items() if value}]
    contact = {name: cells[name] for name in ("phone", "email") if cells.get(name)}
    if contact:
        body["contact"] = [contact]
    if cells.get("ssn"):
        body["personalIdentifiers"] = [{"type": "ssn", "value": cells["ssn"]}]
    return body


def _written(rows: list[dict[str, str]]) -> bytes:
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()
