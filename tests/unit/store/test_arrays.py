"""Columns as PostgreSQL arrays: what the server will read is what was meant."""

from __future__ import annotations

import pytest

from gateway.errors import InvalidInput
from gateway.store.arrays import ByteaArray, ByteaArrayDumper, flags, numbers, of_rows, texts


@pytest.mark.parametrize(
    ("values", "literal"),
    [
        (["a"], '{"a"}'),
        (["a", "b"], '{"a","b"}'),
        ([""], '{""}'),
        (['say "x"', "back\\slash"], '{"say \\"x\\"","back\\\\slash"}'),
        (["NULL", None, "a,b"], '{"NULL",NULL,"a,b"}'),
        (["{}", "é"], '{"{}","é"}'),
    ],
)
def test_texts(values: list[str | None], literal: str):
    assert texts(values) == literal


@pytest.mark.parametrize("values", [["a\0b"], ["\0", "x"], [None, "a\0"], ["a", "\0\0"]])
def test_no_text_becomes_two(values: list[str | None]):
    with pytest.raises(InvalidInput):
        texts(values)


def test_numbers_and_flags():
    assert numbers([1, None, -(2**63)]) == "{1,NULL,-9223372036854775808}"
    assert flags([True, False]) == "{t,f}"
    assert of_rows([(1, "a", None), (2, "b", None)]) == ["{1,2}", '{"a","b"}', "{NULL,NULL}"]


def test_bytes_are_in_the_binary_format():
    dumped = ByteaArrayDumper(ByteaArray).dump(ByteaArray([b"\x01\x02", None, b""]))
    assert dumped.hex() == (
        "00000001"
        "00000001"
        "00000011"
        "00000003"
        "00000001"  # dimensions, nulls, element type, length, lower bound
        "00000002"
        "0102"
        "ffffffff"
        "00000000"
    )
