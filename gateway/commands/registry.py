"""`gateway connectors`: what may be done with one connector, as `/api/external-connectors` does it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gateway.commands.opening import Json, opened, settings_of

if TYPE_CHECKING:
    from gateway.registry.service import Registry

app = typer.Typer()

Name = Annotated[str, typer.Argument(help="The connector's name or id.")]


@app.command("show")
def show(name: Name) -> None:
    """One connector as JSON, without its secrets."""
    _print(lambda registry: registry.get(name))


@app.command("status")
def status(name: Name, as_json: Json = False) -> None:
    """How it is doing: last look, last success, last error, and what is owed to it."""
    _print(lambda registry: registry.status(name), as_pairs=not as_json)


@app.command("pause")
def pause(name: Name) -> None:
    """Send it nothing and ask nothing of it; what it tells us is kept until it goes on."""
    _say(lambda registry: registry.pause(name))


@app.command("resume")
def resume(name: Name) -> None:
    """Let it go on. Old failures are not tried again by themselves."""
    _say(lambda registry: registry.resume(name))


@app.command("go")
def go(name: Name) -> None:
    """After its first contact in plan: do what the plan says, from now on."""
    _say(lambda registry: registry.go(name))


@app.command("delete")
def delete(
    name: Name, yes: Annotated[bool, typer.Option("--yes", help="Do it; without, nothing is done.")] = False
) -> None:
    """Take it away with its secrets and keys; what it had said stays."""
    from gateway.errors import InvalidInput

    if not yes:
        raise InvalidInput(f"nothing was done: say --yes to delete {name}")

    async def ended(registry: Registry) -> dict[str, Any]:
        await registry.delete(name)
        return {"name": name, "status": "deleted"}

    _say(ended)


@app.command("unlink")
def unlink(
    name: Name,
    resource: Annotated[str, typer.Argument(help="The resource here: Patient/ and its id.")],
    there: Annotated[str | None, typer.Option(help="Its id there, where they hold several copies of it.")] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do it; without, nothing is done.")] = False,
) -> None:
    """They no longer hold this resource, though they only say that they find none: send nothing to it any more.
    What it had said stays; a copy that they show again is known again."""
    from gateway.errors import InvalidInput

    if not yes:
        raise InvalidInput(f"nothing was done: say --yes to end the link of {resource} at {name}")
    _say(lambda registry: registry.unlink(name, {"resource": resource} | ({"there": there} if there else {})))


@app.command("test")
def test(name: Name, as_json: Json = False) -> None:
    """Log in there and ask for the least. Exit status 1 when that does not go well."""
    answer = _print(lambda registry: registry.test(name), as_pairs=not as_json)
    if answer["status"] != "connected":
        raise typer.Exit(1)


@app.command("rotate-secret")
def rotate_secret(
    name: Name,
    at_once: Annotated[bool, typer.Option("--at-once", help="End the old one now: it may be known to others.")] = False,
) -> None:
    """Make a fresh webhook secret, tell their side where that can be told, and print it, this once."""
    _print(lambda registry: registry.rotate_secret(name, {"atOnce": at_once}), as_pairs=True)


@app.command("sync")
def sync(
    name: Name,
    mode: Annotated[
        str, typer.Option(help="full: everything; delta: what changed; resend: what failed is tried again.")
    ] = "full",
    since: Annotated[str | None, typer.Option(help="Leave out what they last changed before this time.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only report what would come of it.")] = False,
    patient: Annotated[list[str] | None, typer.Option(help="Only this patient, by their id or ours.")] = None,
    offer: Annotated[bool, typer.Option("--offer", help="Afterwards send it what it lacks of ours.")] = False,
) -> None:
    """Ask for a look through what it holds; a running server does it. Prints the sync's id."""
    from gateway.registry.repeats import Repeats

    asked: dict[str, Any] = {"mode": mode, "dryRun": dry_run, "patientIds": patient or [], "offer": offer}
    asked |= {"since": since} if since else {}
    _print(lambda registry: registry.sync(name, asked, Repeats("command", "")), as_pairs=True)


@app.command("syncs")
def syncs(
    name: Name, sync_id: Annotated[str | None, typer.Argument(help="Only this one, with its report.")] = None
) -> None:
    """How its syncs went, the newest first, as JSON."""

    async def asked(registry: Registry) -> Any:
        return await registry.run(name, sync_id) if sync_id else await registry.syncs(name)

    _print(asked)


def introduce(names: Sequence[str]) -> None:
    """Tell these systems where their webhooks go; what one of them refuses is said, and is its status."""
    from gateway.commands import terminal

    async def told(registry: Registry) -> list[tuple[str, dict[str, Any]]]:
        return [(name, await registry.introduce(name)) for name in names]

    for name, greeting in _run(told) if names else ():
        if "error" in greeting:
            terminal.print_error(f"{name}: {greeting['status']}: {greeting['error']['message']}")


def _say(step: Callable[[Registry], Awaitable[dict[str, Any]]]) -> None:
    from gateway.commands import terminal

    answer = _run(step)
    terminal.print_line(f"{answer['name']}: {answer['status']}")


def _print(step: Callable[[Registry], Awaitable[Any]], *, as_pairs: bool = False) -> Any:
    from gateway.commands import terminal

    answer = _run(step)
    if as_pairs:
        terminal.print_pairs(answer.items())
    else:
        terminal.print_json(answer)
    return answer


def _run(step: Callable[[Registry], Awaitable[Any]]) -> Any:
    """One step with a way out to the other systems; what it makes due is done by the server."""
    from gateway.commands.calling import calling
    from gateway.registry.service import Registry

    settings = settings_of()

    async def inside() -> Any:
        with opened(settings) as store:
            async with calling(store, settings) as caller:
                registry = Registry(store, caller, settings.fhir_base, settings.public_url, by="command")
                return await step(registry)

    return asyncio.run(inside())
