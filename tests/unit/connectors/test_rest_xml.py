"""Lists of a mapped system that speaks XML: empty is an answer, what cannot be read is none."""

from __future__ import annotations

import pytest

from gateway.connectors import rest
from gateway.connectors.call import Call, Reply
from gateway.connectors.protocol import Side, Target
from gateway.errors import PartnerRejected

FIELDS = {"identifier[ours].value": "ourId", "name[official].family": "last"}
MAPPING = {"Patient": {"path": "/people", "find": "ourId", "list": {"items": "person"}, "fields": FIELDS}}
SIDE = Side("https://gateway.example/fhir", "https://ehr.example", name="ehr", mapping=MAPPING, content_type="xml")
UNREADABLE = {
    "cut off": b"<people><person><id>1</id>",
    "a page for people": b"<html><body>We are back soon</body></html>",
    "a page in its namespace": b'<html xmlns="http://www.w3.org/1999/xhtml"><body/></html>',
    "nothing": b"",
    "json": b"[]",
}


@pytest.mark.parametrize("name", UNREADABLE)
def test_who_is_not_found_in_what_cannot_be_read_is_not_made_again(name: str) -> None:
    """A maintenance page with status 200 would let every attempt make one more of the patient."""
    reading = rest.read(Target("Patient", "p"), SIDE)
    assert isinstance(next(reading), Call)
    with pytest.raises(PartnerRejected):
        reading.send(Reply(200, {}, UNREADABLE[name]))
    with pytest.raises(PartnerRejected):
        looking = rest.scan(None, SIDE)
        next(looking)
        looking.send(Reply(200, {}, UNREADABLE[name]))


@pytest.mark.parametrize("body", [b"<people/>", b"<people></people>", b"<people><total>0</total></people>"])
def test_an_empty_list_holds_nobody(body: bytes) -> None:
    reading = rest.read(Target("Patient", "p"), SIDE)
    next(reading)
    with pytest.raises(StopIteration) as found:
        reading.send(Reply(200, {}, body))
    assert found.value.value.body is None


def test_one_alone_is_a_list() -> None:
    reading = rest.read(Target("Patient", "p"), SIDE)
    next(reading)
    with pytest.raises(StopIteration) as found:
        reading.send(Reply(200, {}, b"<people><person><id>7</id><ourId>p</ourId><last>Bell</last></person></people>"))
    assert found.value.value.remote_id == "7"
