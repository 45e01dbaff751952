"""`holds`, `deliveries`, `operations`: what waits for a person, and the person's word."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from worker.cli.context import Config, Json, caller, channel_named, examples, opened
from worker.cli.exits import CommandError, ExitCode
from worker.cli.output import Marked, Mood, note, print_json, print_table, say

if TYPE_CHECKING:
    from worker.services import Services

holds = typer.Typer(help="What keeps writes back, and lifting it.", no_args_is_help=True)
deliveries = typer.Typer(help="Received webhooks, and handling them anew.", no_args_is_help=True)
operations = typer.Typer(help="Writes to the marketplace whose outcome is not settled.", no_args_is_help=True)

Scope = Literal["listing", "channel", "marketplace"]
Reason = Literal["shadow", "paused", "re-authorisation", "orphan", "restored", "plan-too-large", "breaker"]
State = Literal["new", "handled", "parked"]


# --- holds ------------------------------------------------------------------------------------------------------


@holds.command("list", epilog=examples("trueup holds list", "trueup holds list --json"))
def holds_list(config: Config = None, json: Json = False) -> None:
    """The holds in force and what lifts them, the plans that wait for a person's word, and the accounts that rest."""
    from worker.status import HeldWork

    with opened(config) as services:
        held = HeldWork(services.store, services.holds, services.breakers)
        found, plans, resting = held.holds(), held.plans(), held.resting()
    if json:
        holds = [{**asdict(entry.hold), "lifted": entry.lifted} for entry in found]
        print_json({"holds": holds, "plans": plans, "resting": resting})
        return
    rows = [
        (
            entry.hold.scope.value,
            entry.hold.subject,
            Marked(entry.hold.reason.value, Mood.ODD),
            entry.hold.since,
            entry.hold.until,
            entry.hold.note,
            entry.lifted,
        )
        for entry in found
    ]
    print_table(("Scope", "Subject", "Reason", "Since", "Until", "Why", "Lifted by"), rows, empty="Nothing is held.")
    if plans:
        print_table(
            ("Channel", "Listings", "To take", "To give back"),
            [(plan.channel, plan.size.listings, plan.size.to_take, plan.size.to_give_back) for plan in plans],
            title="Plans that wait for a word: `trueup plan --channel NAME`, then `trueup holds lift channel NAME`",
        )
    if resting:
        print_table(
            ("Account", "Is a", "Tried again"),
            [(account.name, account.scope.value, account.until) for account in resting],
            title="Accounts that do not answer",
        )


@holds.command(
    "lift",
    epilog=examples("trueup holds lift channel acme-shop", "trueup holds lift listing 2fd8… --reason orphan"),
)
def holds_lift(
    scope: Annotated[Scope, typer.Argument(help="What kind of thing is held.")],
    subject: Annotated[str, typer.Argument(help="The listing's id, or the name of the channel or marketplace.")],
    reason: Annotated[
        Reason | None, typer.Option(help="Only the hold with this reason; else all on the subject.")
    ] = None,
    config: Config = None,
    json: Json = False,
) -> None:
    """Lift holds; what waited behind them is written from then on.

    This is how a new channel in shadow, or a plan that is too large, is confirmed, after a look at `trueup plan`.
    """
    from worker.store.tables import HoldReason, HoldScope

    with opened(config) as services:
        chosen = None if reason is None else HoldReason(reason)
        lifted = services.desk.lift(HoldScope(scope), subject, by=caller(), only=chosen)
    if json:
        print_json({"lifted": lifted})
    if not lifted:
        message = f"Nothing is held there: {scope} {subject}. `trueup holds list` shows what is."
        raise CommandError(message, ExitCode.WRONG)
    if not json:
        say(f"Lifted {lifted} on {scope} {subject}. What waited is due now.")


@holds.command("pause", epilog=examples('trueup holds pause channel acme-shop --reason "stock-taking until noon"'))
def holds_pause(
    scope: Annotated[Scope, typer.Argument(help="What kind of thing to pause.")],
    subject: Annotated[str, typer.Argument(help="The listing's id, or the name of the channel or marketplace.")],
    reason: Annotated[str, typer.Option(help="Why; kept with the hold.")],
    config: Config = None,
    json: Json = False,
) -> None:
    """Write nothing for it until somebody lifts the hold. What is sold meanwhile is read, and waits."""
    from worker.store.tables import HoldScope

    if not reason.strip():
        raise CommandError("--reason is empty: say why.")
    with opened(config) as services:
        _require_subject(services, scope, subject)
        services.desk.pause(HoldScope(scope), subject, by=caller(), reason=reason.strip())
    if json:
        print_json({"paused": {"scope": scope, "subject": subject}})
        return
    say(f"Paused {scope} {subject}. `trueup holds lift {scope} {subject} --reason paused` ends it.")


def _require_subject(services: Services, scope: Scope, subject: str) -> None:
    """Refuse the name of a channel or marketplace that there is not: its hold would hold nothing."""
    if scope == "channel":
        channel_named(services, subject)
    elif scope == "marketplace" and subject != services.marketplace_name:
        raise CommandError(f"The marketplace is called {services.marketplace_name!r}.")


# --- deliveries -------------------------------------------------------------------------------------------------


@deliveries.command("list", epilog=examples("trueup deliveries list", "trueup deliveries list --state parked"))
def deliveries_list(
    channel: Annotated[str | None, typer.Option(help="Only of this channel.")] = None,
    state: Annotated[State | None, typer.Option(help="Only in this state.")] = None,
    limit: Annotated[int, typer.Option(help="Most deliveries to show.", min=1)] = 50,
    config: Config = None,
    json: Json = False,
) -> None:
    """Received webhooks, newest first, and the orders that are parked until a person decides."""
    from worker.status.deliveries import Deliveries
    from worker.store.tables import DeliveryState

    with opened(config) as services:
        inbox = Deliveries(services.store)
        found = inbox.list(channel=channel, state=None if state is None else DeliveryState(state), limit=limit)
        orders = inbox.parked_orders(channel)
    if json:
        print_json({"deliveries": found, "parked_orders": orders})
        return
    print_table(
        ("Id", "Channel", "Topic", "Received", "State", "Tried", "Outcome"),
        [
            (entry.id, entry.channel, entry.topic, entry.received_at, entry.state.value, entry.attempts, entry.outcome)
            for entry in found
        ],
        title="Deliveries",
    )
    print_table(
        ("Channel", "Order", "Placed", "First seen", "Why"),
        [(row.channel, row.order_id, row.placed_at, row.first_seen_at, row.reason) for row in orders],
        title="Parked orders",
    )


@deliveries.command(
    "replay",
    epilog=examples("trueup deliveries replay 41 42", "trueup deliveries replay --order acme-shop/5551234"),
)
def deliveries_replay(
    ids: Annotated[list[int] | None, typer.Argument(help="Deliveries to handle anew.", metavar="[ID...]")] = None,
    order: Annotated[
        list[str] | None, typer.Option(help="A parked order that shall count after all.", metavar="CHANNEL/ID")
    ] = None,
    config: Config = None,
    json: Json = False,
) -> None:
    """Handle deliveries anew from their stored body, or let parked orders count. Harmless to repeat.

    Running workers pick them up within seconds; without any, `trueup reconcile` does.
    """
    from connectors.contract import Askable

    if not ids and not order:
        raise CommandError("Name deliveries by id, or a parked order with --order CHANNEL/ID.")
    with opened(config) as services:
        wanted = [_order_named(text) for text in order or ()]
        for channel, _ in wanted:
            channel_named(services, channel)
        replayed = list(services.desk.replay(list(dict.fromkeys(ids)), by=caller())) if ids else []
        accepted = [
            f"{channel}/{order_id}"
            for channel, order_id in wanted
            if services.desk.accept_order(channel, order_id, by=caller())
        ]
        awaited = [
            f"{channel}/{order_id}"
            for channel, order_id in wanted
            if f"{channel}/{order_id}" in accepted and not isinstance(services.channels[channel], Askable)
        ]
    missing = [str(entry) for entry in dict.fromkeys(ids or ()) if entry not in replayed]
    missing += [f"{channel}/{order_id}" for channel, order_id in wanted if f"{channel}/{order_id}" not in accepted]
    if json:
        print_json({"replayed": replayed, "accepted": accepted, "awaited": awaited, "not_found": missing})
    elif replayed or accepted:
        say(f"To be handled anew: {', '.join([*map(str, replayed), *accepted])}.")
    if awaited:
        note(f"Their channel cannot be asked, so they count when sent or imported once more: {', '.join(awaited)}.")
    if missing:
        message = (
            f"Not replayed: {', '.join(missing)}. There is no such delivery with its body kept, or the order is not"
            " parked; `trueup deliveries list` shows both."
        )
        raise CommandError(message, ExitCode.WRONG)


def _order_named(text: str) -> tuple[str, str]:
    channel, slash, order_id = text.partition("/")
    if not channel or not slash or not order_id:
        raise CommandError(f"--order {text!r} is not CHANNEL/ID, e.g. acme-shop/5551234.")
    return channel, order_id


# --- operations -------------------------------------------------------------------------------------------------


@operations.command("list", epilog=examples("trueup operations list", "trueup operations list --all --listing 2fd8…"))
def operations_list(
    all_: Annotated[bool, typer.Option("--all", help="Settled ones too.")] = False,
    listing: Annotated[str | None, typer.Option(help="Only on this listing.")] = None,
    limit: Annotated[int, typer.Option(help="Most operations to show.", min=1)] = 50,
    config: Config = None,
    json: Json = False,
) -> None:
    """Writes that are under way or whose outcome is unknown, newest first."""
    with opened(config) as services:
        found = services.decisions.list(unsettled_only=not all_, listing_id=listing, limit=limit)
    if json:
        print_json({"operations": found})
        return
    print_table(
        ("Id", "Listing", "Kind", "State", "From", "To", "Prepared", "Outcome"),
        [
            (
                entry.id,
                entry.listing_id,
                entry.kind.value,
                entry.state.value,
                entry.expected_total,
                entry.new_total,
                entry.prepared_at,
                entry.outcome,
            )
            for entry in found
        ],
        empty="Every write is settled." if not all_ else "There are none.",
    )


@operations.command(
    "settle",
    epilog=examples(
        'trueup operations settle 812 applied --reason "the marketplace\'s history shows it"',
        'trueup operations settle 812 absent --reason "support says it never arrived"',
    ),
)
def operations_settle(
    operation: Annotated[int, typer.Argument(help="Its id.", metavar="ID")],
    outcome: Annotated[Literal["applied", "absent"], typer.Argument(help="Whether the write was executed or not.")],
    reason: Annotated[str, typer.Option(help="How you know; kept in the journal.")],
    config: Config = None,
    json: Json = False,
) -> None:
    """Decide about a write whose outcome nothing else can tell, after comparing with the marketplace's own history.

    A wrong word here books a sale twice or not at all; evidence that turns up later corrects `absent` by itself.
    """
    from worker.reconcile.decide import DecisionRefusedError

    if not reason.strip():
        raise CommandError("--reason is empty: say how you know.")
    with opened(config) as services:
        try:
            settled = services.desk.settle(operation, outcome, by=caller(), reason=reason.strip())
        except DecisionRefusedError as error:
            raise CommandError(str(error), ExitCode.WRONG) from None
    if json:
        print_json({"operation": settled})
        return
    say(
        f"Operation {settled.id} on listing {settled.listing_id} is {settled.state.value}. Its stock is looked at next."
    )


@operations.command(
    "accept",
    epilog=examples('trueup operations accept 2fd8… --reason "counted on the shelf this morning"'),
)
def operations_accept(
    listing: Annotated[str, typer.Argument(help="The listing's id.", metavar="LISTING")],
    reason: Annotated[str, typer.Option(help="Why its number is right; kept in the journal.")],
    config: Config = None,
    json: Json = False,
) -> None:
    """Let the marketplace's number stand: what is pending on this listing is neither taken nor given back.

    For when a seller typed in a counted stock while sales were pending, or an oversell was settled with the buyers.
    """
    from worker.reconcile.decide import DecisionRefusedError

    if not reason.strip():
        raise CommandError("--reason is empty: say why the number is right.")
    with opened(config) as services:
        try:
            units = services.desk.accept_number(listing, by=caller(), reason=reason.strip())
        except DecisionRefusedError as error:
            raise CommandError(str(error), ExitCode.WRONG) from None
    if json:
        print_json({"listing": listing, "waived_units": units})
        return
    say(f"{units} pending units of listing {listing} are waived: its number stands.")
