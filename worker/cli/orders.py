"""`orders`: how far the units of a sale have come, and asking its channel for it again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from worker.cli.context import Config, Json, caller, channel_named, examples, opened
from worker.cli.exits import CommandError, ExitCode
from worker.cli.output import print_json, print_table, say, shown

if TYPE_CHECKING:
    from worker.status.orders import Trail

orders = typer.Typer(help="Sales, and how far their units have come.", no_args_is_help=True)

Channel = Annotated[str, typer.Argument(help="The channel's name.", metavar="CHANNEL")]
OrderId = Annotated[str, typer.Argument(help="The order's id, as the channel's own interface has it.", metavar="ORDER")]


@orders.command(
    "show", epilog=examples("trueup orders show acme-shop 5551234", "trueup orders show acme-shop 5551234 --json")
)
def orders_show(
    channel: Channel,
    order: OrderId,
    after: Annotated[int, typer.Option(help="Go on behind this line, as `more_lines` of --json says.", min=0)] = 0,
    config: Config = None,
    json: Json = False,
) -> None:
    """The trail of one sale: received, read, linked, planned, attempted, taken; or what it waits for.

    Asks the database alone: no vendor is called.
    """
    from worker.status.deliveries import Deliveries
    from worker.status.orders import Orders

    with opened(config) as services:
        finder = Orders(services.store, services.holds, services.marketplace.guard, Deliveries(services.store))
        found = finder.trail(channel, order, after=after)
    if found is None:
        raise CommandError(_unknown(channel, order), ExitCode.WRONG)
    if json:
        print_json(found)
    else:
        _show(found)


def _show(found: Trail) -> None:
    order, sums = found.order, found.sums
    facts = [
        ("State", order.state.value if order.reason is None else f"{order.state.value}: {order.reason}"),
        ("Placed", order.placed_at),
        ("First seen", order.first_seen_at),
        ("Revision", order.revision),
        ("Told by", order.source.value),
        ("Fetched", order.fetched_at),
        ("Fetched next", order.fetch_at),
    ]
    print_table(
        ("What", "Now"), [(name, shown(value)) for name, value in facts], title=f"{order.channel} {order.order_id}"
    )
    print_table(
        ("Id", "Received", "Topic", "State", "Outcome"),
        [(entry.id, entry.received_at, entry.topic, entry.state.value, entry.outcome) for entry in found.deliveries],
        title="Deliveries",
    )
    rows: list[tuple[object, ...]] = []
    for line in found.lines:
        for share in line.shares:
            where = f"{share.stage.value} {share.why}".strip()
            rows.append(
                (line.line_id, line.sku, share.listing_id, share.sold, share.taken, share.waived, share.due, where)
            )
        if line.why_unlinked is not None:
            rows.append((line.line_id, line.sku, None, line.units, 0, 0, line.units, f"unlinked: {line.why_unlinked}"))
    print_table(
        ("Line", "SKU", "Listing", "Sold", "Taken", "Not ours", "Waiting", "Where they stand"), rows, title="Lines"
    )
    print_table(
        ("Id", "SKU", "Listing", "Planned", "Units", "Expected", "Found", "New", "State", "Outcome"),
        [
            (
                entry.operation,
                entry.sku,
                entry.listing_id,
                entry.prepared_at,
                entry.units,
                entry.expected_total,
                entry.found_total,
                entry.new_total,
                entry.state.value,
                entry.outcome,
            )
            for entry in found.attempts
        ],
        title="Writes",
    )
    if found.more_lines is not None:
        say(f"… and more of {sums.lines} lines: --after {found.more_lines} shows the next.")
    say(
        f"{sums.taken} units taken, {sums.to_take} to take, {sums.to_give_back} to give back, {sums.waived} not ours,"
        f" {sums.unlinked} without a link."
    )


@orders.command("fetch", epilog=examples("trueup orders fetch acme-shop 5551234"))
def orders_fetch(channel: Channel, order: OrderId, config: Config = None, json: Json = False) -> None:
    """Ask the channel for an order again; what it says then counts. Harmless to repeat.

    Running workers ask within seconds; without any, `trueup reconcile` does.
    """
    with opened(config) as services:
        channel_named(services, channel)
        asked = services.desk.fetch_order(channel, order, by=caller())
        can_ask = services.fetcher.can_ask(channel)
    if json:
        print_json({"channel": channel, "order": order, "asked_for": asked})
    if not can_ask:
        message = f"The channel {channel!r} cannot be asked for an order: have it sent again, or import it from a file."
        raise CommandError(message, ExitCode.WRONG)
    if not asked:
        raise CommandError(_unknown(channel, order), ExitCode.WRONG)
    if not json:
        say(f"Order {order} of {channel} is asked for. `trueup orders show {channel} {order}` says what came of it.")


def _unknown(channel: str, order: str) -> str:
    return f"No order {order!r} of channel {channel!r} is known. Ids are compared letter by letter."
