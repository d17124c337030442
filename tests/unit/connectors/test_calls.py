"""The connectors' calls without a network: generators fed with written replies."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import replace
from typing import Any, TypeVar

import pytest

from gateway.connectors import canvas, fhir_server
from gateway.connectors.call import Accepted, Call, Page, Rejected, Reply, Trail, segment
from gateway.connectors.protocol import Hook, Item, Side, Target
from gateway.errors import Conflict, InvalidInput, PartnerRejected, PartnerUnknown, VersionConflict
from gateway.fhir import json

T = TypeVar("T")
SIDE = Side(ours="https://gateway.example/fhir", id_system="https://partner.example")
ANN = {"resourceType": "Patient", "name": [{"family": "Bell", "given": ["Ann"]}]}
HTML = Reply(200, {}, b"<html>welcome</html>")


def answer(status: int, body: Any = None, **headers: str) -> Reply:
    return Reply(status, headers, b"" if body is None else json.encode(body))


def play(calls: Generator[Call, Reply, T], *replies: Reply) -> tuple[T, list[Call]]:
    """What the connector returns and what it asked, given these answers; all of them must be asked for."""
    made = [next(calls)]
    for position, reply in enumerate(replies, 1):
        try:
            made.append(calls.send(reply))
        except StopIteration as finished:
            assert position == len(replies), "not every reply was asked for"
            return finished.value, made
    raise AssertionError(f"one more call: {made[-1].method} {made[-1].path}")


def item(**more: Any) -> Item:
    return Item("Patient", "our-1", {**ANN, "id": "our-1"}, **more)


# Canvas


def test_a_remote_id_cannot_become_another_path() -> None:
    _, calls = play(canvas.read(Target("Patient", "p", "a/../b?c#d"), SIDE), answer(404))
    assert calls[0].path == "/patients/v2/a%2F..%2Fb%3Fc%23d"
    for dots in ("", ".", ".."):
        with pytest.raises(InvalidInput):
            segment(dots)


@pytest.mark.parametrize("reply", [HTML, answer(200, []), answer(200, {"firstName": "Ann"}), answer(200), answer(302)])
def test_an_answer_that_is_no_patient_is_not_taken_for_one(reply: Reply) -> None:
    with pytest.raises(PartnerRejected):
        play(canvas.read(Target("Patient", "p"), SIDE), reply)


def test_a_number_is_an_id_too() -> None:
    made, _ = play(canvas.push(item(), SIDE), answer(201, {"id": 17}))
    assert made == Accepted("17")


def test_a_create_without_an_id_in_the_answer_is_looked_up() -> None:
    made, calls = play(canvas.push(item(), SIDE), HTML, answer(200, {"id": "pat_1"}))
    assert made == Accepted("pat_1")
    assert [call.method for call in calls] == ["POST", "GET"]


def test_a_create_that_cannot_be_found_afterwards_is_unknown() -> None:
    with pytest.raises(PartnerUnknown):
        play(canvas.push(item(), SIDE), answer(201, {}), answer(404))


def test_an_update_without_a_body_in_the_answer_is_read_back_later() -> None:
    made, _ = play(canvas.push(item(remote_id="pat_1"), SIDE), answer(204))
    assert made == Accepted("pat_1", None)


def test_a_409_that_is_html_is_looked_up() -> None:
    replies = Reply(409, {}, b"<h1>"), answer(200, {"id": "pat_9"}), answer(200, {"id": "pat_9"})
    made, calls = play(canvas.push(item(), SIDE), *replies)
    assert made.remote_id == "pat_9"
    assert [(call.method, call.path) for call in calls[1:]] == [
        ("GET", "/patients/v2/our-1"),
        ("POST", "/patients/v2/pat_9"),
    ]


def test_a_409_on_the_update_is_rejected_not_linked_in_circles() -> None:
    with pytest.raises(PartnerRejected, match="409"):
        play(canvas.push(item(), SIDE), answer(409, {"id": "pat_9"}), answer(404), answer(409, {"id": "pat_8"}))
    with pytest.raises(Conflict):
        play(canvas.push(item(), SIDE), answer(409), answer(404))


# FHIR


def response(*entries: dict[str, Any]) -> Reply:
    return answer(200, {"resourceType": "Bundle", "type": "transaction-response", "entry": list(entries)})


def created(location: str, **more: Any) -> dict[str, Any]:
    return {"response": {"status": "201 Created", "location": location, **more}}


def group(*items: Item, delivered: dict[str, str] | None = None) -> Generator[Call, Reply, list[Accepted | Rejected]]:
    return fhir_server.push_bundle(items, SIDE, delivered or {})


def test_the_unknown_by_our_identifier_the_known_by_its_id() -> None:
    _, [call] = play(
        group(item(), item(remote_id="r 1", version='W/"3"')),
        response(created("Patient/a"), created("Patient/b")),
    )
    new, known = call.json["entry"]
    assert new["request"] == {
        "method": "PUT",
        "url": "Patient?identifier=https%3A%2F%2Fgateway.example%2Ffhir%2FPatient%7Cour-1",
    }
    assert "id" not in new["resource"]
    assert known["request"] == {"method": "PUT", "url": "Patient/r%201", "ifMatch": 'W/"3"'}
    assert known["resource"]["id"] == "r 1"
    assert call.json["type"] == "transaction" and call.headers["content-type"] == "application/fhir+json"


def test_our_identifier_is_added_once_and_the_body_stays_as_it_was() -> None:
    ours = {"system": f"{SIDE.ours}/Patient", "value": "stale"}
    body = {**ANN, "id": "our-1", "identifier": [ours, {"system": "urn:mrn", "value": "1"}]}
    before = json.encode(body)
    _, [call] = play(group(Item("Patient", "our-1", body)), response(created("Patient/a")))
    assert call.json["entry"][0]["resource"]["identifier"] == [
        {"system": "urn:mrn", "value": "1"},
        {"system": f"{SIDE.ours}/Patient", "value": "our-1"},
    ]
    assert json.encode(body) == before


def test_every_kind_of_reference() -> None:
    refs = [
        "Patient/our-1",
        f"{SIDE.ours}/Patient/our-1",
        "Patient/our-1/_history/3",
        "Encounter/there",
        "Practitioner/nowhere",
        "Provenance/x",
        "https://elsewhere.example/fhir/Patient/9",
        "#inside",
    ]
    body = {"resourceType": "List", "id": "l", "entry": [{"item": {"reference": ref}} for ref in refs]}
    calls = group(item(), Item("List", "l", body), delivered={"Encounter/there": "Encounter/77"})
    _, [call] = play(calls, response(created("Patient/a"), created("List/b")))
    urn = call.json["entry"][0]["fullUrl"]
    assert urn.startswith("urn:uuid:")
    away = {"system": f"{SIDE.ours}/Practitioner", "value": "nowhere"}
    assert [one["item"].get("reference", one["item"]) for one in call.json["entry"][1]["resource"]["entry"]] == [
        urn,
        urn,
        urn,
        "Encounter/77",
        {"identifier": away},
        f"{SIDE.ours}/Provenance/x",
        "https://elsewhere.example/fhir/Patient/9",
        "#inside",
    ]


@pytest.mark.parametrize(
    ("source", "kept"), [("#Zt7", {}), ("https://app.example#Zt7", {"source": "https://app.example"})]
)
def test_which_request_wrote_it_is_no_part_of_it(source: str, kept: dict[str, str]) -> None:
    """HAPI FHIR names it in meta.source: two such servers would write to each other for ever."""
    body = {**ANN, "id": "r", "meta": {"versionId": "3", "source": source}}
    seen, _ = play(fhir_server.read(Target("Patient", "p", "r"), SIDE), answer(200, body))
    assert seen.body is not None and seen.body["meta"] == {"versionId": "3", **kept}


def test_what_they_refer_to_by_their_own_address_is_theirs() -> None:
    """FHIR R4 §2.3.0.1: a reference may be absolute, to the server itself too."""
    side = replace(SIDE, options=fhir_server.Options(types=("Encounter",)), endpoint="https://ehr.example/r4")
    visit = {"resourceType": "Encounter", "id": "v", "subject": {"reference": "https://ehr.example/r4/Patient/9"}}
    target = Target("Encounter", "e", "v", local={"Patient/9": "Patient/our-1"})
    seen, _ = play(fhir_server.read(target, side), answer(200, visit))
    assert seen.body is not None and seen.body["subject"] == {"reference": "Patient/our-1"}


def test_what_stays_with_us_is_addressed_here_and_comes_back_the_same() -> None:
    body = {
        "resourceType": "DocumentReference",
        "id": "d",
        "identifier": [{"system": "urn:x", "value": "1", "assigner": {"reference": "Organization/o"}}],
        "content": [{"attachment": {"url": "Binary/b"}}, {"attachment": {"url": "https://elsewhere.example/x.pdf"}}],
        "context": {"related": [{"reference": "Provenance/v"}]},
    }
    calls = group(Item("DocumentReference", "d", body), delivered={"Organization/o": "Organization/77"})
    sent = next(calls).json["entry"][0]["resource"]
    assert [one["attachment"]["url"] for one in sent["content"]] == [
        f"{SIDE.ours}/Binary/b",
        "https://elsewhere.example/x.pdf",
    ]
    assert sent["identifier"][0]["assigner"] == {"reference": "Organization/77"}
    assert sent["context"]["related"] == [{"reference": f"{SIDE.ours}/Provenance/v"}]
    with pytest.raises(StopIteration) as finished:
        calls.send(response({**created("DocumentReference/9"), "resource": {**sent, "id": "9"}}))
    [accepted] = finished.value.value
    assert accepted.body == {**body, "id": "9"}


def test_one_version_of_what_stays_with_us_is_addressed_here_too() -> None:
    content = [{"attachment": {"url": "Binary/b/_history/2"}}]
    [entry] = next(
        group(Item("DocumentReference", "d", {"resourceType": "DocumentReference", "content": content}))
    ).json["entry"]
    assert entry["resource"]["content"][0]["attachment"]["url"] == f"{SIDE.ours}/Binary/b/_history/2"


def test_the_same_group_is_the_same_bundle() -> None:
    first, second = (next(group(item(), item(remote_id="r"))) for _ in range(2))
    assert json.encode(first.json) == json.encode(second.json)


@pytest.mark.parametrize(
    ("location", "remote_id", "version"),
    [
        ("Patient/a1/_history/4", "a1", 'W/"4"'),
        ("https://fhir.example/r4/Patient/a-1.b", "a-1.b", None),
        ("/fhir/Patient/7/_history/2", "7", 'W/"2"'),
    ],
)
def test_where_they_put_it(location: str, remote_id: str, version: str | None) -> None:
    [accepted], _ = play(group(item()), response(created(location)))
    assert accepted == Accepted(remote_id, version=version)


def test_an_etag_wins_over_the_location() -> None:
    [accepted], _ = play(
        group(item()), response(created("Patient/a/_history/1", etag='W/"x"', lastModified="2026-01-01T00:00:00Z"))
    )
    assert accepted == Accepted("a", at="2026-01-01T00:00:00Z", version='W/"x"')


@pytest.mark.parametrize("reply", [HTML, answer(200), response(), response({"response": {"status": "201"}})])
def test_an_answer_that_does_not_say_what_was_done_is_unknown(reply: Reply) -> None:
    with pytest.raises(PartnerUnknown):
        play(group(item()), reply)


def outcome(status: int, code: str, *expression: str) -> Reply:
    issue = {"severity": "error", "code": code, "expression": list(expression)}
    noted = {"severity": "information", "code": "informational"}
    return answer(status, {"resourceType": "OperationOutcome", "issue": [noted, issue]})


def test_the_one_they_name_is_rejected_and_the_others_may_go_alone() -> None:
    results, _ = play(group(item(), item(), item()), outcome(422, "invariant", "Bundle.entry[1].resource.name"))
    assert results == [
        Rejected(422, "invariant", alone=False),
        Rejected(422, "invariant", "Bundle.entry[1].resource.name"),
        Rejected(422, "invariant", alone=False),
    ]


@pytest.mark.parametrize(
    ("code", "path", "kept"),
    [
        ("code-invalid", "Bundle.entry[0].resource.name[0]", ("code-invalid", "Bundle.entry[0].resource.name[0]")),
        ("value", "Bundle.entry[0].resource/*Patient/9*/.name", ("value", "Bundle.entry[0].resource")),
        ("value", "Bundle.entry[0].resource.name.where(family='Doe')", ("value", "Bundle.entry[0].resource.name")),
        ("Doe is no name", "Bundle.entry[0] is Doe", ("processing", None)),
    ],
)
def test_what_they_quote_of_what_was_sent_is_not_told(code: str, path: str, kept: tuple[str, str | None]) -> None:
    results, _ = play(group(item()), outcome(422, code, path))
    assert results == [Rejected(422, *kept)]


def test_one_that_is_refused_alone_needs_no_name() -> None:
    results, _ = play(group(item()), Reply(400, {}, b"<html>"))
    assert results == [Rejected(400, "processing")]
    with pytest.raises(PartnerRejected, match="400"):
        play(fhir_server.push(item(), SIDE), answer(400))


def held(version: str) -> Reply:
    return answer(200, {"resourceType": "Patient", "id": "r", "meta": {"versionId": version}})


@pytest.mark.parametrize("status", [409, 412])
def test_a_refusal_is_a_conflict_where_their_copy_is_another_by_now(status: int) -> None:
    """409 was the answer before R4, and HAPI FHIR kept it; the code of the issue tells nothing there."""
    read = item(remote_id="r", version='W/"1"')
    for now in held("2"), answer(410), answer(404):
        with pytest.raises(VersionConflict):
            play(group(item(), read), outcome(status, "processing"), now)
    results, _ = play(group(item(), read), outcome(status, "processing"), held("1"))
    assert [one.alone for one in results if isinstance(one, Rejected)] == [False, False]
    results, _ = play(group(item(remote_id="r")), answer(status))
    assert results == [Rejected(status, "processing")], "no version was named"


def test_without_transactions_a_409_is_a_conflict_too() -> None:
    side = replace(SIDE, options=fhir_server.Options(writes="each"))
    read = item(remote_id="r", version='W/"1"')
    with pytest.raises(VersionConflict):
        play(fhir_server.push(read, side), outcome(409, "processing"), held("2"))
    with pytest.raises(PartnerRejected, match="409"):
        play(fhir_server.push(read, side), outcome(409, "processing"), held("1"))


def test_what_else_stands_behind_a_409_and_a_412() -> None:
    read = item(remote_id="r", version='W/"1"')
    results, _ = play(group(read), outcome(409, "processing"), held("1"))
    assert results == [Rejected(409, "processing")]
    results, _ = play(group(item(), read), outcome(412, "multiple-matches"))
    assert [one.code for one in results if isinstance(one, Rejected)] == ["multiple-matches"] * 2
    for only in (outcome(412, "conflict"), answer(412)):  # nothing else can be meant where no condition was sent
        with pytest.raises(VersionConflict):
            play(group(read), only)
    with pytest.raises(VersionConflict):
        play(group(item(), read), outcome(412, "conflict"))


@pytest.mark.parametrize("status", [301, 302, 401, 403])
def test_a_refused_login_is_no_items_fault(status: int) -> None:
    with pytest.raises(PartnerRejected, match=str(status)):
        play(group(item()), answer(status))


def test_what_is_not_allowed_for_one_type_may_be_for_the_others() -> None:
    results, _ = play(group(item(), item()), outcome(403, "forbidden"))
    assert results == [Rejected(403, "forbidden", alone=False)] * 2


def test_an_entry_that_was_refused_in_an_answer_of_200_was_not_taken() -> None:
    """There are servers that take a transaction for a batch."""
    refused = {"response": {"status": "422 Unprocessable Entity"}}
    results, _ = play(group(item(), item(remote_id="r")), response(created("Patient/a"), refused))
    assert results == [Accepted("a"), Rejected(422, "processing")]


def test_who_does_not_have_the_identifier_that_was_searched_for_is_not_meant() -> None:
    """FHIR R4 §3.1.1.3: a server may pass over a parameter that it does not know, and answer everything."""
    stranger = {"resourceType": "Patient", "id": "s", "identifier": [{"system": "urn:mrn", "value": "another"}]}
    found = {"resourceType": "Bundle", "entry": [{"resource": stranger}]}
    target = Target("Patient", "p", identifiers=(("urn:mrn", "A1"),))
    with pytest.raises(PartnerRejected, match="does not have it"):
        play(fhir_server.read(target, SIDE), answer(200, found))
    stranger["identifier"] = [{"system": "urn:mrn", "value": "a1"}]
    seen, [call] = play(fhir_server.read(target, SIDE), answer(200, found))
    assert seen.remote_id == "s", "some compare without case"
    assert call.headers["prefer"] == "handling=strict"


def test_their_other_entries_of_a_search_are_no_matches() -> None:
    ours = {"system": f"{SIDE.ours}/Patient", "value": "p"}
    found = {
        "resourceType": "Bundle",
        "entry": [
            {"resource": {"resourceType": "Patient", "id": "yes", "identifier": [ours]}, "search": {"mode": "match"}},
            {"resource": {"resourceType": "Patient", "id": "no"}, "search": {"mode": "include"}},
            {"resource": {"resourceType": "OperationOutcome"}, "search": {"mode": "outcome"}},
        ],
    }
    seen, [call] = play(fhir_server.read(Target("Patient", "p"), SIDE), answer(200, found))
    assert seen.remote_id == "yes"
    assert call.params == (("identifier", f"{SIDE.ours}/Patient|p"),)


def test_of_several_matches_the_one_with_our_identifier_is_ours() -> None:
    ours = {"system": f"{SIDE.ours}/Patient", "value": "p"}
    number = {"system": "urn:mrn", "value": "1"}
    found = [{"resourceType": "Patient", "id": id_, "identifier": [one]} for id_, one in (("a", number), ("b", ours))]
    bundle = {"resourceType": "Bundle", "entry": [{"resource": one} for one in found]}
    target = Target("Patient", "p", identifiers=(("urn:mrn", "1"),))
    seen, _ = play(fhir_server.read(target, SIDE), answer(200, bundle))
    assert seen.remote_id == "b"


@pytest.mark.parametrize("reply", [HTML, answer(400), answer(200, {"resourceType": "OperationOutcome"})])
def test_a_read_that_answers_something_else_is_rejected(reply: Reply) -> None:
    for remote_id in (None, "r"):
        with pytest.raises(PartnerRejected):
            play(fhir_server.read(Target("Patient", "p", remote_id), SIDE), reply)


# Subscriptions


def test_a_subscription_that_leads_elsewhere_is_somebody_elses() -> None:
    """FHIR R4 §3.1.1.3: a server may pass over `url` and list all of them."""
    hook = Hook("https://gateway.example/api/webhooks/ehr", "whsec_c2VjcmV0")
    channel = {"type": "rest-hook", "endpoint": "https://other.example/hook", "header": ["X-Webhook-Secret: theirs"]}
    theirs = {"resourceType": "Subscription", "id": "1", "criteria": "Patient?", "channel": channel}
    listed = {"resourceType": "Bundle", "entry": [{"resource": theirs}]}
    side = replace(SIDE, options=fhir_server.Options())
    made, [_, asked] = play(fhir_server.register(hook, side), answer(200, listed), answer(201, {"id": "2"}))
    assert (asked.method, asked.path, asked.json["channel"]["endpoint"]) == ("POST", "/Subscription", hook.url)
    assert made == "2"


def registered(*held: dict[str, Any]) -> tuple[str | None, list[Call]]:
    """What registering for Patients does where these Subscriptions are there."""
    bundle = {
        "resourceType": "Bundle",
        "entry": [{"resource": {"resourceType": "Subscription", **one}} for one in held],
    }
    side = replace(SIDE, options=fhir_server.Options())
    calls = fhir_server.register(Hook("https://gateway.example/api/webhooks/ehr"), side)
    made = [next(calls)]
    try:
        reply = answer(200, bundle)
        while True:
            made.append(calls.send(reply))
            reply = answer(201, {"id": "new"})
    except StopIteration as finished:
        return finished.value, made


OWN = {"type": "rest-hook", "endpoint": "https://gateway.example/api/webhooks/ehr", "payload": "application/fhir+json"}


def test_a_subscription_that_they_write_their_own_way_is_no_second_one() -> None:
    told, calls = registered({"id": "1", "status": "active", "criteria": "Patient", "channel": OWN})
    assert told == "1" and [call.method for call in calls] == ["GET"]


@pytest.mark.parametrize("status", ["error", "off"])
def test_a_subscription_that_they_gave_up_is_asked_for_again(status: str) -> None:
    """FHIR R4 §2.46.4: it is `error` or `off` once they could not tell us, and tells nothing any more."""
    told, [_, again] = registered({"id": "1", "status": status, "criteria": "Patient?", "channel": OWN})
    assert told == "1" and (again.method, again.path) == ("PUT", "/Subscription/1")
    assert again.json["status"] == "requested"


# Looks


@pytest.mark.parametrize("status", [404, 410])
def test_a_look_whose_next_page_is_no_longer_kept_begins_again(status: int) -> None:
    side = replace(SIDE, options=fhir_server.Options(types=("Patient", "Organization")))
    place = '{"since":"2026-01-01T00:00:00Z","began":"2026-01-02T00:00:00Z","type":1,"next":"https://x.example?p=2"}'
    page, _ = play(fhir_server.scan(place, side), answer(status))
    assert (page.found, page.more, page.cursor) == ((), True, '{"since":"2026-01-01T00:00:00Z"}')
    with pytest.raises(PartnerRejected):
        play(fhir_server.scan(page.cursor, side), answer(status))


@pytest.mark.parametrize(
    ("link", "called"),
    [
        ("https://x.example/r4?_getpages=1", "https://x.example/r4?_getpages=1"),
        ("Patient?page=2", "https://x.example/r4/Patient?page=2"),
        ("?page=2", "https://x.example/r4/Patient?page=2"),
        ("/r4/Patient?page=2", "https://x.example/r4/Patient?page=2"),
        ("/Patient?page=2", "/Patient?page=2"),
    ],
)
def test_a_relative_link_leads_on_from_where_it_was_found(link: str, called: str) -> None:
    side = replace(SIDE, options=fhir_server.Options())
    body = {"resourceType": "Bundle", "type": "searchset", "link": [{"relation": "next", "url": link}]}
    page, _ = play(fhir_server.scan(None, side), replace(answer(200, body), url="https://x.example/r4/Patient"))
    assert next(fhir_server.scan(page.cursor, side)).path == called


def test_the_next_look_begins_before_this_one_did() -> None:
    """A change may be found seconds after its date (a transaction under way, an index that comes later)."""
    side = replace(SIDE, options=fhir_server.Options())
    body = {"resourceType": "Bundle", "type": "searchset", "meta": {"lastUpdated": "2026-01-01T12:00:00+02:00"}}
    page, _ = play(fhir_server.scan(None, side), answer(200, body))
    asked = dict(next(fhir_server.scan(page.cursor, side)).params)
    assert asked["_lastUpdated"] == "ge2026-01-01T09:59:30.000000Z"


def test_pages_that_lead_in_a_circle_are_followed_once() -> None:
    trail = Trail()
    assert [trail.after(Page((), name, more=True)) for name in ("1", "2")] == ["1", "2"]
    with pytest.raises(PartnerRejected, match="has been already"):
        trail.after(Page((), "1", more=True))
    assert trail.after(Page((), "1")) == "1", "the next look starts wherever it likes"
