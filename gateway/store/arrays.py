"""Columns as PostgreSQL arrays, written by hand: psycopg's own list adaptation costs a call per value."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from typing import Any

from psycopg.adapt import Dumper
from psycopg.pq import Format
from sqlalchemy import Boolean, LargeBinary, Text
from sqlalchemy.types import TypeEngine

from gateway.errors import InvalidInput

_BYTEA, _BYTEA_ARRAY = 17, 1001
_NULL = struct.pack("!i", -1)
_FORBIDDEN = "a text holds the character U+0000, which cannot be stored"


class ByteaArray:
    """Several byte strings on their way into one parameter."""

    __slots__ = ("values",)

    def __init__(self, values: Sequence[bytes | None]) -> None:
        self.values = values


class ByteaArrayDumper(Dumper):
    """PostgreSQL's binary array format: dimensions, has-null flag, element type, length, lower bound, elements."""

    format = Format.BINARY
    oid = _BYTEA_ARRAY

    def dump(self, obj: ByteaArray) -> bytes:
        parts = [struct.pack("!iiIii", 1, 1, _BYTEA, len(obj.values), 1)]
        for value in obj.values:
            parts += [_NULL] if value is None else [struct.pack("!i", len(value)), value]
        return b"".join(parts)


def numbers(values: Sequence[int | None]) -> str:
    return "{" + ",".join(["NULL" if value is None else str(value) for value in values]) + "}"


def flags(values: Sequence[bool]) -> str:
    return "{" + ",".join(["t" if value else "f" for value in values]) + "}"


def texts(values: Sequence[str | None]) -> str:
    """Raises InvalidInput for U+0000."""
    if None in values:
        return "{" + ",".join(["NULL" if value is None else texts((value,))[1:-1] for value in values]) + "}"
    joined = "\0".join(values)  # type: ignore[arg-type]  # no None among them
    if joined.count("\0") != len(values) - 1:
        raise InvalidInput(_FORBIDDEN)
    return '{"' + joined.replace("\\", "\\\\").replace('"', '\\"').replace("\0", '","') + '"}'


def encoder(kind: TypeEngine[Any]) -> Callable[[Sequence[Any]], Any]:
    if isinstance(kind, LargeBinary):
        return ByteaArray
    if isinstance(kind, Boolean):
        return flags
    return texts if isinstance(kind, Text) else numbers


def of_rows(rows: Sequence[Sequence[Any]]) -> list[str]:
    """The columns of a list parameter: all texts or all numbers, with or without None."""
    return [
        texts(column) if any(type(value) is str for value in column) else numbers(column)
        for column in zip(*rows, strict=True)
    ]
