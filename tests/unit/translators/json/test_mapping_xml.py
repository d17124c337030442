"""XML as trees and back: what no rule means stays as it was, and what XML cannot carry is refused."""

from __future__ import annotations

import copy

import pytest
from lxml import etree

from gateway.errors import InvalidInput
from gateway.translators.json import mapping_xml

THEIRS = b"""<p:person xmlns:p="urn:p" xmlns:x="urn:x" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"
  xmlns:y="urn:y" xsi:schemaLocation="urn:p p.xsd" id="7"><p:name>Ada</p:name><x:tag x:k="1"><x:in>v</x:in>
  <p:back>w</p:back></x:tag><y:tag>z</y:tag><y:name>other</y:name><p:born xsi:nil="true"/><p:phone/></p:person>"""


def facts(data: bytes) -> list[tuple[str, str, dict[str, str]]]:
    """Every element, in its namespace, with its text and attributes, whatever the prefixes."""
    return [(str(one.tag), (one.text or "").strip(), dict(one.attrib)) for one in etree.fromstring(data).iter()]


def test_what_is_put_back_is_in_the_namespace_where_it_was() -> None:
    tree = copy.deepcopy(mapping_xml.parse(THEIRS))
    assert facts(mapping_xml.write(tree, "person", "urn:p")) == facts(THEIRS)


def test_paths_do_not_tell_namespaces_apart_and_meet_their_own_first() -> None:
    tree = mapping_xml.parse(THEIRS)
    assert (tree["name"], tree["tag"]["in"], tree["tag"]["@k"], tree["born"]) == ("Ada", "v", "1", None)


def test_a_value_takes_the_place_of_what_was_nil() -> None:
    tree = mapping_xml.parse(THEIRS)
    tree["born"] = "1990-12-10"
    written = etree.fromstring(mapping_xml.write(tree, "person", "urn:p"))
    assert written.findtext("{urn:p}born") == "1990-12-10" and not written.find("{urn:p}born").attrib  # type: ignore[union-attr]


def test_without_a_namespace_of_ours_theirs_is_left_out_as_before() -> None:
    tree = mapping_xml.parse(b'<a xmlns="urn:p"><b>1</b></a>')
    assert mapping_xml.write(tree, "a").endswith(b"<a><b>1</b></a>")


@pytest.mark.parametrize("odd", ["\ufffe", "\uffff", "\x0b", "\x00", "\ud800"], ids=ascii)
def test_a_character_that_xml_does_not_have_is_refused_without_being_told(odd: str) -> None:
    with pytest.raises(InvalidInput, match="a character that XML cannot carry"):
        mapping_xml.write({"name": [{"family": f"a{odd}b"}]}, "person")
    with pytest.raises(InvalidInput, match="a character that XML cannot carry"):
        mapping_xml.write({"@name": f"a{odd}b"}, "person")


MIXED = b"""<person xmlns="urn:p"><id>1</id><note>call <b>only</b> at <b at="x">night</b>, <i>please</i>.</note>
<note>plain</note><last>Roe</last></person>"""


def test_text_between_elements_is_put_back_as_it_was() -> None:
    """An instruction to whoever calls the patient must not change its words by the update of a name."""
    tree = copy.deepcopy(mapping_xml.parse(MIXED))
    tree["last"] = "Doe"
    written = etree.fromstring(mapping_xml.write(tree, "person", "urn:p"))
    first, second = written.findall("{urn:p}note")
    assert "".join(first.itertext()) == "call only at night, please." and first.tail is None
    assert [child.tag for child in first] == ["{urn:p}b", "{urn:p}b", "{urn:p}i"] and first[1].get("at") == "x"
    assert second.text == "plain" and written.findtext("{urn:p}last") == "Doe"


def test_a_value_among_such_text_is_not_written_at_its_cost() -> None:
    tree = copy.deepcopy(mapping_xml.parse(MIXED))
    tree["note"][0]["i"] = "thanks"
    with pytest.raises(InvalidInput, match="text between"):
        mapping_xml.write(tree, "person", "urn:p")
