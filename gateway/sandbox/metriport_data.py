"""Consolidated data, the network query, summaries and contributions (metriport.md, "Consolidated data", "Network
query")."""

from __future__ import annotations

import asyncio
import gzip
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from gateway.fhir import json
from gateway.sandbox import metriport_personas as personas
from gateway.sandbox import metriport_shapes as shapes
from gateway.sandbox.metriport_account import Account, Patient
from gateway.sandbox.metriport_hooks import now
from gateway.sandbox.metriport_http import Asked, Refusal, invalid, missing, new_id

_URL_SECONDS = 180
_LARGEST, _MOST = 1_000_000, 50
_OUTCOME = "https://public.metriport.com/fhir/StructureDefinition/operation-outcome"
_SUBJECTS = ("subject", "patient", "beneficiary")
_KNOWN_SOURCES = ("hie", "pharmacy", "lab")
_BEHIND = {"pharmacy": "surescripts", "lab": "quest"}
_MEDIA = {"pdf": "application/pdf", "html": "text/html"}

_SAMPLES = {
    "html": b"<html><body><h1>Sample medical record</h1></body></html>",
    "pdf": b"%PDF-1.4\n% Sample medical record\n%%EOF\n",
}
"""What anybody but a persona gets as a file to read: the same for all."""

Resource = dict[str, Any]


@dataclass(slots=True)
class Data:
    """What is known of each patient: what the last network query brought, and what was contributed.

    `pace` = seconds that a query runs; `closed` = sources that this account may not ask.
    """

    account: Account
    pace: float = 0.05
    closed: set[str] = field(default_factory=set)
    cached: dict[str, list[Resource]] = field(default_factory=dict)
    contributed: dict[str, dict[str, Resource]] = field(default_factory=dict)
    queries: dict[str, dict[str, Any]] = field(default_factory=dict)
    networks: dict[str, dict[str, Any]] = field(default_factory=dict)
    summaries: dict[str, str] = field(default_factory=dict)
    proofed: dict[str, str] = field(default_factory=dict)
    """Proofed identity -> patient."""
    aal2: dict[str, str] = field(default_factory=dict)
    """AAL2 session -> proofed identity."""

    def held(self, patient: Patient, asked: Mapping[str, str]) -> list[Resource]:
        """The cached data, narrowed by `resources`, `dateFrom` and `dateTo`."""
        wanted = {one for one in asked.get("resources", "").split(",") if one}
        start, end = shapes.day(asked.get("dateFrom"), "dateFrom"), shapes.day(asked.get("dateTo"), "dateTo")
        known = [*self.cached.get(patient["id"], ()), *self.contributed.get(patient["id"], {}).values()]
        return [
            one
            for one in known
            if (not wanted or one["resourceType"] in wanted) and _within(one, start or "", end or "9999")
        ]

    # --- consolidated -------------------------------------------------------------------------------------------------

    def start(self, asked: Asked) -> dict[str, Any]:
        patient = self.account.patient(asked, by="path")
        kind = shapes.require_media(asked.query.get("conversionType") or "json", ("json", "pdf", "html"))
        data = shapes.metadata(asked.body)
        self.held(patient, asked.query)  # the dates are checked now, not when it is done
        names = ("resources", "dateFrom", "dateTo")
        given = {name: asked.query[name] for name in names if asked.query.get(name)}
        for one in self.queries.values():
            same = one["patient"] == patient["id"] and one["given"] == given and one["kind"] == kind
            if same and one["status"] == "processing":
                return _query(one)
        query: dict[str, Any] = {"requestId": new_id(), "status": "processing", "startedAt": now(), "kind": kind}
        query |= {"patient": patient["id"], "given": given}
        self.queries[query["requestId"]] = query
        self.account.hooks.later(self._consolidate(query, patient, asked.base, data))
        return _query(query)

    async def _consolidate(self, query: dict[str, Any], patient: Patient, base: str, data: Any) -> None:
        await asyncio.sleep(self.pace)
        query["status"] = "completed"
        found = self.held(patient, query["given"])
        entry = {**self.account.names(patient), "status": "completed", "filters": query["given"]}
        if found or _is_sample(patient, query["kind"]):
            entry["bundle"] = _bundle([self._pointer(patient, query["kind"], found, base)])
        body = {"patients": [entry]}
        self.account.hooks.tell("medical.consolidated-data", body, request=query["requestId"], data=data)

    def _pointer(self, patient: Patient, kind: str, found: list[Resource], base: str) -> Resource:
        """A DocumentReference whose attachments are short-lived addresses of the data."""
        url = self.account.storage.url
        if kind in _MEDIA:
            printed = _SAMPLES[kind] if _is_sample(patient, kind) else _printed(patient, found, kind)
            files = [(_MEDIA[kind], printed)]
        else:
            raw = json.encode(_bundle([personas.demographics(patient), *found]))
            files = [("application/json", raw), ("application/gzip", gzip.compress(raw))]
        contents = [
            {"attachment": {"contentType": media, "url": url(base, data, media, _URL_SECONDS)}} for media, data in files
        ]
        subject = {"reference": f"Patient/{patient['id']}"}
        return {"resourceType": "DocumentReference", "subject": subject, "content": contents}

    def listed(self, asked: Asked) -> dict[str, Any]:
        patient = self.account.patient(asked, by="path")
        queries = [_query(one) for one in self.queries.values() if one["patient"] == patient["id"]]
        message = "Trigger a new query by POST /patient/:id/consolidated/query; data will be sent through Webhook"
        latest = {"status": queries[-1]["status"]} if queries else {}
        return {"queries": queries, "message": message, **latest}

    def one(self, asked: Asked) -> dict[str, Any]:
        patient, found = self.account.patient(asked, by="path"), self.queries.get(asked.path["request"])
        if found is None or found["patient"] != patient["id"]:
            raise missing("consolidated query")
        return _query(found)

    def count(self, asked: Asked) -> dict[str, Any]:
        found = self.held(self.account.patient(asked, by="path"), asked.query)
        by_type = dict(sorted(Counter(one["resourceType"] for one in found).items()))
        limits = {name: asked.query[name] for name in ("dateFrom", "dateTo") if asked.query.get(name)}
        chosen = {"resources": asked.query.get("resources") or "all", **limits}
        return {"total": len(found), "resources": by_type, "filter": chosen}

    def bundle(self, asked: Asked) -> Resource:
        patient = self.account.patient(asked, by="path")
        found = self.held(patient, asked.query)
        return _bundle([personas.demographics(patient), *found] if found else [])

    def search(self, asked: Asked) -> Resource:
        """Those in which the words stand (path found in their code; the answer's form is ours to assume)."""
        words = asked.query.get("query", "").lower().split()
        found = self.held(self.account.patient(asked, by="path"), asked.query)
        return _bundle([one for one in found if all(word in json.encode(one).decode().lower() for word in words)])

    def contribute(self, asked: Asked) -> Resource:
        patient = self.account.patient(asked, by="path")
        resources = _contributed(asked, patient["id"])
        held = self.contributed.setdefault(patient["id"], {})
        answers = []
        for one in resources:
            name = f"{one['resourceType']}/{one['id']}"
            answers.append({"response": _stored(name, created=name not in held)})
            held[name] = one
        return {"resourceType": "Bundle", "id": new_id(), "type": "transaction-response", "entry": answers}

    def summary(self, asked: Asked) -> dict[str, Any]:
        patient = self.account.patient(asked, by="path")
        kind = shapes.require_media(asked.query.get("conversionType", ""), ("pdf", "html"))
        if patient["id"] not in self.summaries:
            raise missing(f"medical record summary of patient {patient['id']}")
        data = _printed(patient, self.held(patient, {}), kind)
        return {"url": self.account.storage.url(asked.base, data, _MEDIA[kind], _URL_SECONDS)}

    def summary_status(self, asked: Asked) -> dict[str, Any]:
        made = self.summaries.get(self.account.patient(asked, by="path")["id"])
        return {"htmlCreatedAt": made, "pdfCreatedAt": made} if made else {}

    # --- network query ------------------------------------------------------------------------------------------------

    def query(self, asked: Asked) -> dict[str, Any]:
        patient = self.account.patient(asked)
        body = asked.object() if asked.body is not None else {}
        self._check_purpose(asked, body, patient)
        data, started = shapes.metadata(body), now()
        query: dict[str, Any] = {"requestId": new_id(), "startedAt": started, "status": "processing", "sources": []}
        for name in _sources(body):
            if name in self.closed:
                message = f"Access to {name} data source is not enabled for this account"
                problem = {"source": name, "httpStatus": 400, "message": message, "timestamp": started}
                query.setdefault("errors", []).append(problem)
            else:
                query["sources"].append({"type": name, "status": "processing", "startedAt": started})
        query["status"] = "processing" if query["sources"] else "failed"
        self.networks[query["requestId"]] = query
        self.account.hooks.later(self._ask_networks(query, patient, asked.base, data))
        return query

    def _check_purpose(self, asked: Asked, body: Mapping[str, Any], patient: Patient) -> None:
        purpose = asked.query.get("purposeOfUse", "treatment")
        if purpose not in ("treatment", "ias"):
            raise invalid(("Invalid enum value. Expected 'treatment' | 'ias'", "query,purposeOfUse"))
        if patient["id"] in self.account.opted_out:
            raise Refusal(403, "The patient has opted out of data sharing")
        if purpose == "treatment":
            return
        identity = body.get("proofedIdentityId")
        if not identity:
            raise invalid(("Required", "proofedIdentityId"))
        if self.proofed.get(identity) != patient["id"]:
            raise missing(f"proofed identity {identity}")
        if self.aal2.get(asked.headers.get("x-aal2-session", "")) != identity:
            raise Refusal(401, "A verified AAL2 session is needed: x-aal2-session")

    async def _ask_networks(self, query: dict[str, Any], patient: Patient, base: str, data: Any) -> None:
        """One webhook per source, each with what that source brought."""
        known = personas.known(patient)
        cached = self.cached.setdefault(patient["id"], [])
        for source in query["sources"]:
            await asyncio.sleep(self.pace)
            found = [one for one in known if one["resourceType"] in personas.SOURCES[source["type"]]]
            ids = {one["id"] for one in found}
            cached[:] = [one for one in cached if one["id"] not in ids] + found
            source |= {"status": "completed", "completedAt": now()}
            if source["type"] == "hie" and found:
                self._tell_source(query, patient, source, found, base, data, suffix=".first-data-ready")
            self._tell_source(query, patient, source, found, base, data)
        self.summaries[patient["id"]] = now()
        query["status"] = "partial" if query.get("errors") else "completed"

    def _tell_source(
        self,
        query: Mapping[str, Any],
        patient: Patient,
        source: Mapping[str, Any],
        found: list[Resource],
        base: str,
        data: Any,
        suffix: str = "",
    ) -> None:
        raw = json.encode(_bundle([personas.demographics(patient), *found]))
        url = self.account.storage.url(base, raw, "application/json", _URL_SECONDS)
        told = {name: source[name] for name in ("type", "status", "completedAt")}
        told |= {"source": _BEHIND[source["type"]]} if source["type"] in _BEHIND else {}
        payload = {**self.account.names(patient), "consolidatedDataUrl": url, "source": told}
        kind = f"network-query.{source['type']}{suffix}"
        self.account.hooks.tell(kind, {"payload": payload}, request=query["requestId"], data=data)

    def network(self, asked: Asked) -> dict[str, Any]:
        found = self.networks.get(asked.path["request"])
        if found is None:
            raise missing("network query")
        return found


def _is_sample(patient: Patient, kind: str) -> bool:
    return kind in _SAMPLES and personas.find(patient["firstName"]) is None


def _query(one: Mapping[str, Any]) -> dict[str, Any]:
    given = dict(one["given"])
    listed = given.pop("resources", "")
    shown = {name: one[name] for name in ("requestId", "status", "startedAt")} | given
    return shown | ({"resources": listed.split(",")} if listed else {}) | {"conversionType": one["kind"]}


def _sources(body: Mapping[str, Any]) -> list[str]:
    """Both forms: a list, or an object of switches; all when nothing is said. `laboratory` is an SDK's word."""
    asked = body.get("sources", list(_KNOWN_SOURCES))
    if isinstance(asked, dict):
        asked = [name for name, one in asked.items() if isinstance(one, dict) and one.get("enabled") is True]
    names = ["lab" if one == "laboratory" else one for one in asked] if isinstance(asked, list) else []
    if not names or not set(names) <= set(_KNOWN_SOURCES):
        raise invalid(("Expected at least one of hie, pharmacy, lab", "sources"))
    return names


def _contributed(asked: Asked, patient_id: str) -> list[Resource]:
    """The resources of a Bundle that may be taken. Raises Refusal."""
    body = asked.object()
    if body.get("resourceType") != "Bundle" or body.get("type") != "collection":
        raise Refusal(400, "The body must be a Bundle of type collection")
    if len(asked.raw) > _LARGEST:
        raise Refusal(413, "The Bundle is larger than 1 MB")
    resources: list[Any] = [entry.get("resource") for entry in body.get("entry") or () if isinstance(entry, dict)]
    if not resources or not all(
        isinstance(one, dict) and one.get("resourceType") and one.get("id") for one in resources
    ):
        raise Refusal(400, "Every entry must have a resource with a type and an id")
    if len(resources) > _MOST:
        raise Refusal(400, f"Cannot contribute more than {_MOST} resources in Sandbox mode!")
    if len({one["id"] for one in resources}) < len(resources):
        raise Refusal(400, "A resource id is used more than once")
    for one in resources:
        named = [one[name].get("reference") for name in _SUBJECTS if isinstance(one.get(name), dict)]
        if any(reference != f"Patient/{patient_id}" for reference in named if str(reference).startswith("Patient")):
            raise Refusal(400, "The subject of a resource is another patient")
    return list(resources)


def _stored(name: str, *, created: bool) -> dict[str, Any]:
    code, verb = ("SUCCESSFUL_CREATE", "Create") if created else ("SUCCESSFUL_UPDATE", "Update")
    coding = {"system": _OUTCOME, "code": code, "display": f"{verb} succeeded."}
    issue = {"severity": "information", "code": "informational", "details": {"coding": [coding]}}
    return {
        "status": "201 Created" if created else "200 OK",
        "location": f"{name}/_history/1",
        "etag": "1",
        "lastModified": now(),
        "outcome": {"resourceType": "OperationOutcome", "issue": [issue]},
    }


def _bundle(resources: list[Resource]) -> Resource:
    entries = [{"resource": one} for one in resources]
    return {"resourceType": "Bundle", "type": "collection", "total": len(entries), "entry": entries}


def _within(one: Resource, start: str, end: str) -> bool:
    """By the resource's own date; one without a date is always in."""
    dates = (one.get(name) for name in ("effectiveDateTime", "onsetDateTime", "authoredOn", "occurrenceDateTime"))
    at = next((found for found in dates if found), None) or (one.get("period") or {}).get("start")
    return at is None or start <= at[:10] <= end


def _printed(patient: Patient, found: list[Resource], kind: str) -> bytes:
    """A summary for people to read."""
    name = f"{patient['firstName']} {patient['lastName']}"
    lines = [f"{one['resourceType']}: {_title(one)}" for one in found]
    if kind == "html":
        rows = "".join(f"<li>{line}</li>" for line in lines)
        return f"<html><body><h1>{name}</h1><ul>{rows}</ul></body></html>".encode()
    text = "\n".join(("%PDF-1.4", f"% {name}", *(f"% {line}" for line in lines), "%%EOF", ""))
    return text.encode()


def _title(one: Resource) -> str:
    code = one.get("code") or one.get("vaccineCode") or one.get("medicationCodeableConcept") or {}
    return code.get("text") or next((coding["display"] for coding in code.get("coding", ())), "")
