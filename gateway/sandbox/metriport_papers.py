"""Documents and secure messages (metriport.md, "Documents", "Messages, IAS, embed")."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from gateway.fhir import json
from gateway.sandbox import metriport_personas as personas
from gateway.sandbox import metriport_shapes as shapes
from gateway.sandbox.metriport_account import Account, Patient
from gateway.sandbox.metriport_hooks import now
from gateway.sandbox.metriport_http import Asked, Refusal, Said, invalid, missing, new_id, page

_DOWNLOAD_SECONDS, _BULK_SECONDS, _UPLOAD_SECONDS = 60, 600, 600
_FIXED = {
    "html": ("text/html", b"<html><body>A fixed file</body></html>"),
    "pdf": ("application/pdf", b"%PDF-1.4\n%%EOF\n"),
}
DESTINATIONS = (
    {
        "name": "Alder County Cardiology",
        "address": "12 Weir Street, Alder, OH 43999",
        "npi": "9990000061",
        "destination": "intake@cardiology.direct.alder.example",
    },
    {
        "name": "Hollin Reach Nephrology",
        "address": "4 Quay Road, Hollin Reach, DE 19999",
        "npi": "9990000062",
        "destination": "2.25.59778615075790855151715354782056170808.21",
    },
)

Resource = dict[str, Any]


@dataclass(slots=True)
class Paper:
    """One document. `data` None = it was announced, its upload is awaited."""

    id: str
    name: str
    media: str
    patient: str
    code: str
    title: str
    data: bytes | None
    indexed: str = field(default_factory=now)
    body: Resource = field(default_factory=dict)


@dataclass(slots=True)
class Papers:
    """The account's documents and messages."""

    account: Account
    papers: dict[str, Paper] = field(default_factory=dict)
    asked_for: dict[str, dict[str, Any]] = field(default_factory=dict)
    messages: dict[str, Resource] = field(default_factory=dict)

    # --- documents ----------------------------------------------------------------------------------------------------

    def start(self, asked: Asked) -> dict[str, Any]:
        patient = self.account.patient(asked)
        if asked.query.get("facilityId"):
            self.account.facility(asked)
        data, request = shapes.metadata(asked.body), new_id()
        found = self._fetch(patient)
        done = {"status": "completed", "total": len(found), "successful": len(found), "errors": 0}
        converted = sum(one.media == "application/xml" for one in found)
        state = {"download": done, "convert": {**done, "total": converted, "successful": converted}}
        self.asked_for[patient["id"]] = {**state, "requestId": request}
        self._tell_progress(patient, request, found, data)
        return {"download": {"status": "processing"}, "requestId": request}

    def _tell_progress(self, patient: Patient, request: str, found: list[Paper], data: Any) -> None:
        for kind, documents in (("document-download", found), ("document-conversion", [])):
            entry = {**self.account.names(patient), "type": kind, "status": "completed"}
            if documents:
                entry["documents"] = [_short(one) for one in documents]
            self.account.hooks.tell(f"medical.{kind}", {"patients": [entry]}, request=request, data=data)

    def progress(self, asked: Asked) -> dict[str, Any]:
        return self.asked_for.get(self.account.patient(asked)["id"], {})

    def _fetch(self, patient: Patient) -> list[Paper]:
        """What the networks hold: once it is here it stays, under the same ids."""
        for name, media, data, code, title in personas.files(patient["firstName"]):
            file = f"{patient['id']}/{name}"
            if file not in self.papers:
                self.papers[file] = Paper(new_id(), file, media, patient["id"], code, title, data)
        return self._of(patient)

    def _of(self, patient: Patient) -> list[Paper]:
        return [one for one in self.papers.values() if one.patient == patient["id"] and one.data is not None]

    def listed(self, asked: Asked) -> dict[str, Any]:
        patient = self.account.patient(asked)
        shapes.day(asked.query.get("dateFrom"), "dateFrom")
        shapes.day(asked.query.get("dateTo"), "dateTo")
        words = asked.query.get("content", "").lower()
        return {"documents": [_reference(one) for one in self._of(patient) if words in one.title.lower()]}

    def download(self, asked: Asked) -> dict[str, Any]:
        wanted = self.papers.get(asked.need("fileName"))
        kind = asked.query.get("conversionType")
        if kind is not None:
            shapes.require_media(kind, ("html", "pdf"))
        if wanted is None or wanted.data is None:
            if kind is None:
                raise missing("document")
            media, data = _FIXED[kind]
        elif kind is not None:
            media, data = _FIXED[kind][0], wanted.data
        else:
            media, data = wanted.media, wanted.data
        return {"url": self.account.storage.url(asked.base, data, media, _DOWNLOAD_SECONDS)}

    def bulk(self, asked: Asked) -> dict[str, Any]:
        patient, request = self.account.patient(asked), new_id()
        documents = [
            {**_short(one), "url": self.account.storage.url(asked.base, one.data or b"", one.media, _BULK_SECONDS)}
            for one in self._of(patient)
        ]
        entry = {"status": "completed", **self.account.names(patient), "documents": documents}
        body = {"patients": [entry]}
        data = shapes.metadata(asked.body)
        self.account.hooks.tell("medical.document-bulk-download-urls", body, request=request, data=data)
        return {"status": "processing", "requestId": request}

    def upload(self, asked: Asked) -> dict[str, Any]:
        patient, body = self.account.patient(asked), asked.object()
        if not isinstance(body.get("type"), dict) and not body.get("description"):
            raise invalid(("Either type or description must be present", "description"))
        new = new_id()
        name = f"{patient['id']}/{new}"
        title = body.get("description") or "Uploaded document"
        self.papers[name] = Paper(new, name, "", patient["id"], "34133-9", title, None, body=dict(body))

        def put(data: bytes, media: str) -> None:
            paper = self.papers[name]
            paper.data, paper.media = data, media or "application/octet-stream"

        url = self.account.storage.upload(asked.base, _UPLOAD_SECONDS, put)
        return {"documentReferenceId": new, "uploadUrl": url}

    # --- messages -----------------------------------------------------------------------------------------------------

    def send(self, asked: Asked) -> Said:
        patient, body = self.account.patient(asked), asked.object()
        for name in ("destination", "subject"):
            if not isinstance(body.get(name), str) or not body[name].strip():
                raise invalid(("Required", name))
        if not body.get("body") and not body.get("attachments"):
            raise invalid(("body or attachments are required", "body"))
        ids = {one.id for one in self._of(patient)}
        if not set(body.get("attachments") or ()) <= ids:
            raise missing("attachment")
        made = self._message(patient, "sent", body)
        self.account.hooks.later(self._deliver(made, patient, asked.base))
        return Said(made, 201)

    def _message(self, patient: Patient, direction: str, body: Mapping[str, Any]) -> Resource:
        content = [{"contentString": body["body"]}] if body.get("body") else []
        content += [
            {"contentReference": {"reference": f"DocumentReference/{one}"}} for one in body.get("attachments") or ()
        ]
        address = {"identifier": {"value": body["destination"]}}
        made: Resource = {
            "resourceType": "Communication",
            "id": new_id(),
            "status": "in-progress" if direction == "sent" else "completed",
            "subject": {"reference": f"Patient/{patient['id']}"},
            "topic": {"text": body["subject"]},
            "sent": now(),
            ("recipient" if direction == "sent" else "sender"): [address] if direction == "sent" else address,
            "payload": content,
            "category": [{"text": direction}],
        }
        self.messages[made["id"]] = made
        return made

    async def _deliver(self, made: Resource, patient: Patient, base: str) -> None:
        known = {one["destination"] for one in DESTINATIONS}
        delivered = made["recipient"][0]["identifier"]["value"] in known
        made["status"] = "completed" if delivered else "stopped"
        self._tell("message.status", made, patient, base, "completed" if delivered else "failed")

    def receive(self, patient: Patient, subject: str, text: str, base: str) -> Resource:
        """Somebody writes to the account about this patient."""
        sender = DESTINATIONS[0]["destination"]
        made = self._message(patient, "received", {"destination": sender, "subject": subject, "body": text})
        self._tell("message.received", made, patient, base, "completed")
        return made

    def _tell(self, kind: str, made: Resource, patient: Patient, base: str, status: str) -> None:
        url = self.account.storage.url(base, json.encode(made), "application/json", _BULK_SECONDS)
        payload = {**self.account.names(patient), "messageId": made["id"], "status": status, "url": url}
        self.account.hooks.tell(kind, {"payload": payload})

    def messages_listed(self, asked: Asked) -> dict[str, Any]:
        direction = asked.query.get("direction")
        if direction not in (None, "sent", "received"):
            raise invalid(("Invalid enum value. Expected 'sent' | 'received'", "query,direction"))
        subject = f"Patient/{asked.query['patientId']}" if asked.query.get("patientId") else None
        rows = [
            one
            for one in self.messages.values()
            if subject in (None, one["subject"]["reference"]) and direction in (None, one["category"][0]["text"])
        ]
        meta, shown = page(asked, rows)
        return {"meta": meta, "messages": shown}

    def message(self, asked: Asked) -> Resource:
        if asked.path["id"] not in self.messages:
            raise missing("message")
        return self.messages[asked.path["id"]]

    def destinations(self, asked: Asked) -> dict[str, Any]:
        words = " ".join(asked.query.get(name, "") for name in ("name", "npi", "state", "filter")).lower().split()
        if not words:
            raise Refusal(400, "Say what to look for: name, npi, state or filter")
        found = [one for one in DESTINATIONS if all(word in " ".join(one.values()).lower() for word in words)]
        return {"destinations": found}


def _short(one: Paper) -> dict[str, Any]:
    """A document as webhooks name it."""
    coding = {"system": "http://loinc.org", "code": one.code, "display": one.title}
    return {
        "id": one.id,
        "fileName": one.name,
        "description": one.title,
        "status": "current",
        "indexed": one.indexed,
        "mimeType": one.media,
        "size": len(one.data or b""),
        "type": {"coding": [coding], "text": one.title},
    }


def _reference(one: Paper) -> Resource:
    kept = {key: one.body[key] for key in ("context",) if key in one.body}
    coding = {"system": "http://loinc.org", "code": one.code, "display": one.title}
    return {
        "resourceType": "DocumentReference",
        "id": one.id,
        "status": "current",
        "type": one.body.get("type") or {"coding": [coding]},
        "subject": {"reference": f"Patient/{one.patient}", "type": "Patient"},
        "description": one.title,
        "content": [{"attachment": {"contentType": one.media, "size": len(one.data or b""), "title": one.name}}],
        **kept,
    }
