"""CampDoc by name: the operations of Z.MIS, for programs (`routes/campdoc.py`) and people (`gateway campdoc`).

Who is meant is said by the caller: their id, the organization's own identifier, or our Patient id, which is looked up
in the links and, where there is none yet, stands in the profile's identifier.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Generator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Literal, TypeVar

import msgspec

from gateway.connectors import campdoc, campdoc_calls
from gateway.connectors.call import Call, Reply
from gateway.connectors.campdoc_calls import Named, Row
from gateway.connectors.config import Config
from gateway.connectors.protocol import Side
from gateway.errors import InvalidInput, PartnerUnavailable
from gateway.flow import Flow
from gateway.intake.ingest import Ask
from gateway.store import Reader, locks

T = TypeVar("T")
By = Literal["id", "identifier", "patient"]

_LEASE = timedelta(seconds=60)
_LOOK_AGAIN = 0.05
_ENUM_VALUE = re.compile(r"Invalid enum value .*(?= - at )", re.DOTALL)
"""How msgspec repeats a value that is none of those allowed."""
_PATIENCE = 30.0


class Profile(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """What of a profile can be set; what is left out stays as it is, null empties it."""

    given_name: str | msgspec.UnsetType = msgspec.field(default=msgspec.UNSET, name="givenName")
    family_name: str | msgspec.UnsetType = msgspec.field(default=msgspec.UNSET, name="familyName")
    middle_name: str | msgspec.UnsetType | None = msgspec.field(default=msgspec.UNSET, name="middleName")
    dob: str | msgspec.UnsetType | None = msgspec.UNSET
    sex: Literal["Male", "Female"] | msgspec.UnsetType | None = msgspec.UNSET


class User(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """A user as CampDoc wants one; phone and location are optional."""

    email: str
    given_name: str = msgspec.field(name="givenName")
    family_name: str = msgspec.field(name="familyName")
    phone: str | None = None
    location: dict[str, Any] | None = None


class Registration(msgspec.Struct, forbid_unknown_fields=True):
    """Into which group: by its id, or by its identifier."""

    group_id: int | None = msgspec.field(default=None, name="groupID")
    group_identifier: str | None = msgspec.field(default=None, name="groupIdentifier")
    type: Literal["patient", "provider"] = "patient"

    @property
    def group(self) -> Named:
        """groupIdentifier wins, as with CampDoc. Raises InvalidInput without either."""
        if self.group_identifier is not None:
            return Named(self.group_identifier, by_identifier=True)
        if self.group_id is None:
            raise InvalidInput("groupID or groupIdentifier is required")
        return Named(str(self.group_id))


def read(body: Any, shape: type[T]) -> T:
    """One of the above of what a caller sent. Raises InvalidInput naming the field, never what stands in it."""
    try:
        return msgspec.convert(body, shape)
    except msgspec.ValidationError as error:
        raise InvalidInput(f"the body: {_ENUM_VALUE.sub(r'Invalid value', str(error))}") from None


@dataclass(frozen=True, slots=True)
class CampDoc:
    """The operations on one connector's organization."""

    flow: Flow
    config: Config
    ask: Ask

    @property
    def side(self) -> Side:
        """Raises InvalidInput when the connector is of another kind."""
        if self.config.profile != campdoc.PROFILE:
            raise InvalidInput(f"{self.config.name} is no CampDoc connector")
        return self.config.side(self.flow.ours)

    async def put_profile(self, identifier: str, profile: Profile) -> Row:
        """Create or update by identifier; one at a time for each identifier, in whatever process."""
        if not identifier.strip():
            raise InvalidInput("an identifier must hold more than blanks")
        fields = msgspec.to_builtins(profile)
        side = self.side
        name = f"campdoc {self.config.name} {identifier}"
        fence = await self._take(name)
        try:
            return await self._run(campdoc.put_profile(side, identifier, fields, campdoc_calls.refusal))
        finally:
            await self.flow.store.write(lambda tx: locks.free(tx, name, fence))

    async def get_profile(self, named: str, by: By) -> Row:
        return await self._run(campdoc_calls.get_profile(self.side, await self._profile(named, by)))

    async def list_profiles(self) -> list[Row]:
        return await self._run(campdoc_calls.list_profiles(self.side))

    async def get_group(self, named: str, by: By) -> Row:
        return await self._run(campdoc_calls.get_group(self.side, Named(named, by_identifier=by == "identifier")))

    async def list_groups(self) -> list[Row]:
        return await self._run(campdoc_calls.list_groups(self.side))

    async def create_registration(self, named: str, by: By, registration: Registration) -> Row:
        profile, group = await self._profile(named, by), registration.group
        return await self._run(campdoc_calls.create_registration(self.side, profile, group, registration.type))

    async def deactivate_registration(self, named: str, by: By, registration: str) -> None:
        profile = await self._profile(named, by)
        await self._run(campdoc_calls.deactivate_registration(self.side, profile, registration))

    async def list_registrations(self, named: str, by: By, *, active: bool = False) -> list[Row]:
        profile = await self._profile(named, by)
        return await self._run(campdoc_calls.list_registrations(self.side, profile, active=active))

    async def list_reviews(self, named: str, by: By) -> list[Row]:
        return await self._run(campdoc_calls.list_reviews(self.side, await self._profile(named, by)))

    async def create_user(self, named: str, by: By, user: User, *, notify: bool, expires: str | None) -> Row:
        profile = await self._profile(named, by)
        fields: Mapping[str, Any] = msgspec.to_builtins(user)
        calls = campdoc_calls.create_user(self.side, profile, fields, notify=notify, expires=expires)
        return await self._run(calls)

    async def create_sso_link(self, email: str) -> Row:
        return await self._run(campdoc_calls.create_sso_link(self.side, email))

    async def _run(self, calls: Generator[Call, Reply, T]) -> T:
        return await self.ask(self.config, calls)

    async def _profile(self, named: str, by: By) -> Named:
        """Z.MIS: the contact's id becomes CampDoc's."""
        if by != "patient":
            return Named(named, by_identifier=by == "identifier")
        linked = await self.flow.store.query(lambda reader: _linked(reader, self.config.name, named))
        return Named(linked) if linked else Named(named, by_identifier=True)

    async def _take(self, name: str) -> int:
        waited = 0.0
        while True:
            fence = await self.flow.store.write(lambda tx: locks.take(tx, name, tx.now + _LEASE))
            if fence is not None:
                return fence
            if waited > _PATIENCE:
                raise PartnerUnavailable("another change of this profile is taking long: try again")
            await asyncio.sleep(_LOOK_AGAIN)
            waited += _LOOK_AGAIN


def _linked(reader: Reader, connector: str, patient_id: str) -> str | None:
    """Their id of our Patient."""
    head = reader.heads([("Patient", patient_id)]).get(("Patient", patient_id))
    links = reader.links([head.rid]).get(head.rid, []) if head else []
    return next((link.remote_id for link in links if link.connector == connector and link.type == "Patient"), None)
