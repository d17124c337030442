"""`gateway`: the command line. Options are read here; the bodies are imported when they are needed, so that --help is
quick."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from gateway.commands import campdoc, deliveries, incidents, metriport, registry, subscribers
from gateway.commands.opening import STDIN, Json, opened, settings_of
from gateway.errors import GatewayError

app = typer.Typer(
    help="A gateway that keeps health systems in step. Settings come from the environment (GATEWAY_...).",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
keys_app = typer.Typer(help="API keys of those who call us.", no_args_is_help=True)
connectors_app = typer.Typer(help="Our links to other systems.", no_args_is_help=True)
messages_app = typer.Typer(help="What came in, as it came in.", no_args_is_help=True)
app.add_typer(keys_app, name="keys")
connectors_app.add_typer(registry.app)
app.add_typer(connectors_app, name="connectors")
app.add_typer(messages_app, name="messages")
app.add_typer(deliveries.app, name="deliveries")
app.add_typer(incidents.app, name="incidents")
app.add_typer(subscribers.app, name="subscribers")
app.add_typer(metriport.app, name="metriport")
app.add_typer(campdoc.app, name="campdoc")


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs one command. What went wrong is one line that says what to do next; exit status 1, or 2 for wrong usage."""
    try:
        app(args=list(arguments) if arguments is not None else None, prog_name="gateway")
    except GatewayError as error:
        sys.exit(f"gateway: {error.message}")
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(1)
    except OSError as error:
        sys.exit(f"gateway: {error.filename or 'input/output'}: {error.strerror}")


@app.command()
def serve(
    host: Annotated[str | None, typer.Option(help="Address to listen on; else GATEWAY_HOST.")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on; else GATEWAY_PORT.", min=0, max=65535)] = None,
) -> None:
    """Run the gateway until it is stopped."""
    from gateway.commands.serve import serve as run

    run(settings_of(host=host, port=port))


@app.command()
def demo(
    as_json: Json = False,
    serve: Annotated[bool, typer.Option("--serve", help="Keep everything running afterwards.")] = False,
    keep: Annotated[Path | None, typer.Option(help="Folder for the database and the snapshot; else temporary.")] = None,
) -> None:
    """Start the gateway and two partner systems here, and check what it promises step by step."""
    from gateway.sandbox.demo import run

    sys.exit(run(as_json=as_json, serve=serve, keep=keep))


@app.command()
def convert(
    files: Annotated[
        list[str] | None, typer.Argument(metavar="FILE...", help="C-CDA documents; - is standard input.")
    ] = None,
    patient_id: Annotated[
        str | None, typer.Option(help="Id of the Patient; else one derived from the document.")
    ] = None,
    form: Annotated[str, typer.Option(help="Kind of Bundle: batch, transaction or document.")] = "batch",
    timezone: Annotated[
        str | None, typer.Option(help="Where a time of day without a zone was written: -05:00, America/New_York.")
    ] = None,
    assembled: Annotated[
        str | None, typer.Option(help="Instant of a FHIR document whose source has no time of day.")
    ] = None,
    report: Annotated[
        str | None,
        typer.Option(
            help="Write what became of every entry here, as JSON; - prints tables for people instead of the Bundles."
        ),
    ] = None,
    stats: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Measure what is kept of the documents in a folder instead.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Convert C-CDA documents to FHIR Bundles on standard output; several files give one Bundle a line."""
    if stats is not None:
        return _stats(stats, as_json)
    if not files:
        raise typer.BadParameter("name a document, or - for standard input", param_hint="FILE")
    from gateway.commands import convert as conversion
    from gateway.commands import convert_report, terminal

    outcomes = []
    limit, trace = settings_of().max_bytes, report is not None
    options = {"form": form, "timezone": timezone, "assembled": assembled, "trace": trace}
    found = conversion.outcomes(files, patient_id=patient_id, max_bytes=limit, **options)
    with terminal.progress(len(files), "converting") as bar:
        for outcome in found:
            bar.advance(bar.task_ids[0])
            outcomes.append(outcome.without_bundle())
            if outcome.error is not None:
                terminal.print_error(f"gateway: {outcome.file}: {outcome.error}")
            elif report != STDIN:
                terminal.print_json(outcome.bundle)
    if report == STDIN:
        convert_report.print_report(outcomes)
    elif report is not None:
        Path(report).write_bytes(conversion.report(outcomes))
    if any(outcome.error is not None for outcome in outcomes):
        sys.exit(1)


def _stats(folder: Path, as_json: bool) -> None:
    from gateway.commands import terminal
    from gateway.commands.convert_stats import measure_folder

    found = measure_folder(folder)
    if as_json:
        return terminal.print_json(found.to_json())
    title = f"kept of {found.documents} documents, {found.entries} entries, {found.fallbacks} by fallback"
    terminal.print_table(title, ("kind", "seen", "kept", "share"), found.kept_rows())
    terminal.print_table("lost most", ("template", "part", "count"), found.lost_rows(), "nothing lost")
    terminal.print_table("invented", ("what", "count"), found.invented_rows(), "nothing invented")
    terminal.print_table("refused", ("file", "why"), found.refused.items(), "nothing refused")


@app.command()
def snapshot(
    out: Annotated[Path, typer.Option(help="Folder to write; an earlier snapshot there is replaced.")],
    as_json: Json = False,
) -> None:
    """Write every live resource as it is now: one NDJSON file per type, a table of the patients, a manifest."""
    from gateway import snapshots
    from gateway.commands import terminal, trail

    with opened() as store, terminal.progress(0, "reading") as bar:
        trail.read(store, "*")
        manifest = snapshots.write(
            store, out, progress=lambda done, total: bar.update(bar.task_ids[0], completed=done, total=total)
        )
    if as_json:
        terminal.print_bytes(manifest.to_json())
    else:
        files = [(file.name, file.rows, file.bytes, file.sha256[:12]) for file in manifest.files]
        terminal.print_table(f"{out} at version {manifest.sequence}", ("file", "rows", "bytes", "sha256"), files)


@app.command()
def plan(
    connector: Annotated[str | None, typer.Argument(help="Only what this connector would be sent.")] = None,
    values: Annotated[
        bool, typer.Option("--values", help="With --json: the values too; they are patient data.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Show what would be delivered, field by field. Nothing is sent."""
    from gateway.commands import plan as planning
    from gateway.commands import terminal

    settings = settings_of()
    with opened(settings) as store:
        found = planning.lines(store, settings, connector)
    if as_json:
        terminal.print_json([line.to_json(values=values) for line in found])
    else:
        terminal.print_table("would be delivered", planning.COLUMNS, [line.cells() for line in found], planning.EMPTY)


@app.command()
def reconcile(
    connector: Annotated[str, typer.Argument(help="Whose side is read and compared.")],
    repair: Annotated[
        bool, typer.Option("--repair", help="Take in what they say themselves, and order what they lack.")
    ] = False,
    values: Annotated[
        bool, typer.Option("--values", help="With --json: the values too; they are patient data.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Read everything a system holds, compare it field by field, and report; with --repair, mend it."""
    import asyncio

    from gateway.commands import reconcile as reconciling
    from gateway.commands import terminal

    found = asyncio.run(reconciling.differences(settings_of(), connector, repair=repair))
    if as_json:
        terminal.print_json([one.to_json(values=values) for one in found])
    else:
        rows = [reconciling.cells(one) for one in found]
        terminal.print_table(f"differences of {connector}", reconciling.COLUMNS, rows, reconciling.EMPTY)


@app.command()
def sandbox(
    name: Annotated[str, typer.Argument(help="Which stand-in; all: every one of them; list: which there are.")],
    port: Annotated[
        int, typer.Option(help="Port of the loopback address; of all the first one.", min=1, max=65535)
    ] = 9100,
) -> None:
    """Run a stand-in of a partner system on loopback until it is stopped.

    canvas_partner: a REST partner · fhir_server: a FHIR R4 server · hms: HMS-API's peer, REST and FHIR with logins ·
    `gateway sandbox list` names the others.
    """
    from gateway.commands import terminal
    from gateway.sandbox import serve as stand_ins

    if name == "list":
        for known in stand_ins.names():
            terminal.print_line(known)
        return
    chosen = stand_ins.names() if name == "all" else [name]
    made = [(one, stand_ins.create(one)) for one in chosen]
    for place, (one, _) in enumerate(made):
        terminal.print_error(f"{one}: http://127.0.0.1:{port + place}")
    stand_ins.run([stand_in for _, stand_in in made], port)


@keys_app.command("create")
def create_key(
    name: Annotated[str, typer.Argument(help="Whose key it is.")],
    connector: Annotated[
        str, typer.Option(help="Whom its holder speaks for; a new name becomes a connector that only sends.")
    ],
    scope: Annotated[
        list[str],
        typer.Option(help="system/<Type or *>.<cruds>, documents, convert, connectors:<read|write|sync>, operator."),
    ],
) -> None:
    """Make a key and print it, and nothing else, on standard output. It cannot be shown again."""
    from gateway.commands import keys, terminal

    with opened() as store:
        terminal.print_line(keys.create(store, name, connector, scope))


@keys_app.command("list")
def list_keys(as_json: Json = False) -> None:
    """Who has a key, for what; never the key."""
    from gateway.commands import keys, terminal

    with opened() as store:
        rows = keys.listed(store)
    if as_json:
        terminal.print_json([keys.to_json(row) for row in rows])
    else:
        terminal.print_table("keys", keys.COLUMNS, map(keys.cells, rows), keys.EMPTY)


@keys_app.command("revoke")
def revoke_key(key: Annotated[str, typer.Argument(help="Its id or, if only one is live, its name.")]) -> None:
    """End a key at once."""
    from gateway.commands import keys, terminal

    with opened() as store:
        terminal.print_line(f"revoked: {keys.revoke(store, key)}")


@connectors_app.command("apply")
def apply_connectors(
    file: Annotated[Path, typer.Argument(help="JSON; docs/reference/connectors.md has the fields.")],
) -> None:
    """Create or change the connectors of a file. Its secrets are stored encrypted and never shown again."""
    from gateway.commands import connectors, registry, terminal

    data = file.read_bytes()
    with opened() as store:
        for line in connectors.apply(store, data):
            terminal.print_line(line)
    registry.introduce(connectors.to_be_told(data))


@connectors_app.command("authorize")
def authorize_connector(
    name: Annotated[str, typer.Argument(help="A connector with the grant authorization_code.")],
) -> None:
    """Print a one-time link: an administrator opens it within 10 minutes and logs in to that system in the browser."""
    from gateway.commands import logins

    logins.print_link(name)


@connectors_app.command("list")
def list_connectors(as_json: Json = False) -> None:
    """The connectors, without their secrets."""
    from gateway.commands import connectors, terminal

    with opened() as store:
        if as_json:
            terminal.print_json(connectors.to_json(store))
            return
        doing = connectors.healths(store)
        rows = [connectors.cells(row, doing.get(row.name)) for row in connectors.listed(store)]
    terminal.print_table("connectors", connectors.COLUMNS, rows, connectors.EMPTY)


@messages_app.command("list")
def list_messages(
    state: Annotated[str | None, typer.Option(help="received, applied, held or failed.")] = None,
    connector: Annotated[str | None, typer.Option(help="Only those of this connector.")] = None,
    after: Annotated[str, typer.Option(help="Only those after the message with this id.")] = "",
    limit: Annotated[int, typer.Option(help="At most so many.", min=1, max=10_000)] = 50,
    as_json: Json = False,
) -> None:
    """What came in, oldest first, without its text."""
    from gateway.commands import messages, terminal

    with opened() as store:
        rows = messages.listed(store, state, connector, limit, after)
    if as_json:
        terminal.print_json([messages.to_json(row) for row in rows])
    else:
        terminal.print_table("messages", messages.COLUMNS, map(messages.cells, rows), messages.EMPTY)


@messages_app.command("show")
def show_message(
    message_id: Annotated[str, typer.Argument(metavar="ID")],
    body: Annotated[bool, typer.Option("--body", help="Write the body, byte for byte, and nothing else.")] = False,
    as_json: Json = False,
) -> None:
    """One message: where it came from and what became of it. Its text only with --body."""
    from gateway.commands import messages, terminal, trail

    with opened() as store:
        message = messages.get(store, message_id)
        if body:
            trail.read(store, "Message", message.message_id, message.connector)
    if body:
        terminal.print_bytes(message.body)
    elif as_json:
        terminal.print_json(messages.to_json(message))
    else:
        terminal.print_pairs(messages.pairs(message))
