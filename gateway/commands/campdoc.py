"""`gateway campdoc`: the operations on a camp's organization, by hand. Each prints what CampDoc answered, as JSON."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gateway.commands.opening import STDIN, json_of, opened, settings_of

if TYPE_CHECKING:
    from gateway.systems.campdoc import By, CampDoc

app = typer.Typer(help="Operations on a CampDoc organization.", no_args_is_help=True)

Work = Callable[["CampDoc"], Awaitable[Any]]


class Naming(StrEnum):
    """How a profile is named."""

    id = "id"
    identifier = "identifier"
    patient = "patient"


Connector = Annotated[str, typer.Argument(help="The connector's name.")]
Profile = Annotated[str, typer.Argument(help="The profile; --by says how it is named.")]
Group = Annotated[str, typer.Argument(help="The group: its id or, with --identifier, its identifier.")]
Naming_ = Annotated[Naming, typer.Option("--by", help="By CampDoc's id, the camp's identifier, or our Patient id.")]
Fields = Annotated[str, typer.Argument(metavar="FILE", help="JSON; - is standard input.")]
"""Who somebody is does not belong on the command line: every user of the machine sees it there."""
Identified = Annotated[bool, typer.Option("--identifier", help="The group is named by its identifier.")]


@app.command("authorize")
def authorize(connector: Connector) -> None:
    """Print a one-time link by which an administrator logs in, good for 10 minutes."""
    from gateway.commands import logins

    logins.print_link(connector)


@app.command("list-profiles")
def list_profiles(connector: Connector) -> None:
    """All profiles that are not deactivated."""
    _print(connector, lambda camp: camp.list_profiles())


@app.command("get-profile")
def get_profile(connector: Connector, profile: Profile, by: Naming_ = Naming.id) -> None:
    """One profile."""
    _print(connector, lambda camp: camp.get_profile(profile, _by(by)))


@app.command("put-profile")
def put_profile(
    connector: Connector,
    identifier: Annotated[str, typer.Argument(help="The camp's own key of the profile.")],
    file: Fields = STDIN,
) -> None:
    """Change the profile with this identifier, or make it. The file is a JSON object with what is to be changed of
    givenName, familyName, middleName, dob and sex; what it does not name stays as it is, null empties it."""
    fields = json_of(file)

    async def work(camp: CampDoc) -> Any:
        from gateway.systems import campdoc

        return await camp.put_profile(identifier, campdoc.read(fields, campdoc.Profile))

    _print(connector, work)


@app.command("list-groups")
def list_groups(connector: Connector) -> None:
    """All groups, in short."""
    _print(connector, lambda camp: camp.list_groups())


@app.command("get-group")
def get_group(connector: Connector, group: Group, identifier: Identified = False) -> None:
    """One group, whole."""
    _print(connector, lambda camp: camp.get_group(group, "identifier" if identifier else "id"))


@app.command("list-registrations")
def list_registrations(
    connector: Connector,
    profile: Profile,
    by: Naming_ = Naming.id,
    active: Annotated[bool, typer.Option("--active", help="Without those that were deactivated.")] = False,
) -> None:
    """The registrations of a profile."""
    _print(connector, lambda camp: camp.list_registrations(profile, _by(by), active=active))


@app.command("create-registration")
def create_registration(
    connector: Connector,
    profile: Profile,
    group: Group,
    by: Naming_ = Naming.id,
    identifier: Identified = False,
    kind: Annotated[str, typer.Option("--type", help="patient or provider.")] = "patient",
) -> None:
    """Register a profile in a group."""

    async def work(camp: CampDoc) -> Any:
        from gateway.systems import campdoc

        fields = {"groupIdentifier": group} if identifier else {"groupID": int(group) if group.isdigit() else group}
        asked = campdoc.read({**fields, "type": kind}, campdoc.Registration)
        return await camp.create_registration(profile, _by(by), asked)

    _print(connector, work)


@app.command("deactivate-registration")
def deactivate_registration(
    connector: Connector,
    profile: Profile,
    registration: Annotated[str, typer.Argument(help="Its id.")],
    by: Naming_ = Naming.id,
) -> None:
    """End a registration; CampDoc keeps it."""
    _print(connector, lambda camp: camp.deactivate_registration(profile, _by(by), registration))


@app.command("list-reviews")
def list_reviews(connector: Connector, profile: Profile, by: Naming_ = Naming.id) -> None:
    """Who reviewed the health form of a profile."""
    _print(connector, lambda camp: camp.list_reviews(profile, _by(by)))


@app.command("create-user")
def create_user(
    connector: Connector,
    profile: Profile,
    file: Fields = STDIN,
    by: Naming_ = Naming.id,
    notify: Annotated[bool, typer.Option("--notify", help="Send the invitation.")] = False,
    expires: Annotated[str | None, typer.Option(help="End of the invitation, YYYY-MM-DD[ HH:mm:ss] in UTC.")] = None,
) -> None:
    """Give somebody access to a profile. The file is a JSON object with email, givenName and familyName, and if known
    phone and location."""
    fields = json_of(file)

    async def work(camp: CampDoc) -> Any:
        from gateway.systems import campdoc

        user = campdoc.read(fields, campdoc.User)
        return await camp.create_user(profile, _by(by), user, notify=notify, expires=expires)

    _print(connector, work)


@app.command("create-sso-link")
def create_sso_link(
    connector: Connector,
    email: Annotated[str, typer.Argument(help="The user who will be signed in; - is standard input.")] = STDIN,
) -> None:
    """A link that signs a user in: once, within 60 minutes."""
    address = _line() if email == STDIN else email
    _print(connector, lambda camp: camp.create_sso_link(address))


def _by(naming: Naming) -> By:
    return naming.value


def _line() -> str:
    """One line of standard input."""
    return sys.stdin.readline().strip()


def _print(connector: str, work: Work) -> None:
    from gateway.commands import terminal

    answer = asyncio.run(_operate(connector, work))
    if answer is not None:
        terminal.print_json(answer)


async def _operate(connector: str, work: Work) -> Any:
    from gateway.commands.calling import calling
    from gateway.commands.connectors import get
    from gateway.systems.campdoc import CampDoc

    settings = settings_of()
    with opened(settings) as store:
        async with calling(store, settings) as caller:
            return await work(CampDoc(caller.flow, get(store, connector), caller.ask))
