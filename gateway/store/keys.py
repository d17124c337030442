"""Keys for new rows, taken from blocks so that planning needs no round trip (hi-lo allocation)."""

from __future__ import annotations

from sqlalchemy import bindparam

from .schema import counter
from .sql import Flavour, Session

BLOCK = 65_536
_LOW = 16_384
_NAME = "key"


class Keys:
    """Used by the writer only. A block belongs to this process once its transaction has committed."""

    def __init__(self, session: Session, flavour: Flavour) -> None:
        self._session = session
        self._next = self._end = 0
        self._unsure = False
        self._take = flavour.query(
            counter.update()
            .where(counter.c.name == _NAME)
            .values(next=counter.c.next + bindparam("block"))
            .returning(counter.c.next)
        )

    def refill(self) -> None:
        """In a transaction of its own, before a batch, so that its rollback cannot take the block back."""
        if self._end - self._next < _LOW:
            self._session.begin_write()
            self._grow()
            self._session.commit()

    def take(self, after: int = 0) -> int:
        """The next one, larger than `after`: another process may have got a later block than ours."""
        if self._next == self._end or self._next <= after:
            self._grow()
            self._unsure = True
        self._next += 1
        return self._next - 1

    def settle(self, *, committed: bool) -> None:
        """A rollback gives back a block that was taken in the same transaction."""
        if self._unsure and not committed:
            self._next = self._end = 0
        self._unsure = False

    def _grow(self) -> None:
        self._end = int(self._session.rows(self._take, {"block": BLOCK})[0][0])
        self._next = self._end - BLOCK
