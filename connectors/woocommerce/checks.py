"""What `doctor` tries at a shop."""

from __future__ import annotations

from datetime import timedelta

from connectors.budget import Priority
from connectors.checks import clocks
from connectors.contract import Check
from connectors.errors import ConnectorError
from connectors.woocommerce.client import Client
from connectors.woocommerce.orders import moment_of, order_id_in, shaped
from connectors.woocommerce.scan import Scan, stamp
from connectors.woocommerce.settings import WooCommerceSettings
from connectors.woocommerce.shapes import RevisionRow
from connectors.woocommerce.subscriptions import Subscriptions


def checks(settings: WooCommerceSettings, client: Client, scan: Scan, subscriptions: Subscriptions) -> list[Check]:
    """One entry per thing tried. When the shop cannot be asked at all, what depends on asking it is left out."""
    found = [_signing(settings), _exclusions(settings)]
    try:
        client.get("orders", {"per_page": 1, "_fields": "id"})
    except ConnectorError as error:
        remedy = (
            "check site, key and secret, that the key's user may read orders, that permalinks are not plain, and that "
            "the host passes the Authorization header on"
        )
        return [Check("access", False, str(error), remedy), *found]
    found = [
        Check("access", True, f"{settings.site} accepts the key"),
        _dates(client, scan),
        clocks(client.http.clock_skew_seconds, "the site"),
        *found,
    ]
    found.append(_webhooks(subscriptions))
    return found


def _dates(client: Client, scan: Scan) -> Check:
    """Whether the site finds its newest order by when that was modified: some old ones read the time in another zone,
    and polling would miss orders without anybody noticing.
    """
    name, remedy = "orders by modification", "bring the shop's WooCommerce up to date; until then orders may be missed"
    fields = "id,date_modified_gmt"
    try:
        newest = client.get("orders", {"per_page": 1, "_fields": fields}).value
        rows = shaped(newest, list[RevisionRow], "a page of orders")
        if not rows:
            return Check(name, True, "the shop has no orders yet, so this could not be tried")
        moment = moment_of(rows[0].date_modified_gmt, "date_modified_gmt")
        second = timedelta(seconds=1)
        piece = scan.piece(moment, moment + second, fields, 100, priority=Priority.READ)
    except (ConnectorError, ValueError) as error:
        return Check(name, False, str(error), remedy)
    found = {order_id_in(row) for row in piece.rows}
    if str(rows[0].id) in found:
        how = "" if scan.sorts else "; the site cannot sort by it, so that it is read in pieces of an hour"
        return Check(name, True, f"found{how}")
    # It may have been modified while we asked.
    try:
        again = shaped(client.get(f"orders/{rows[0].id}", {"_fields": fields}).value, RevisionRow, "an order")
    except ConnectorError as error:
        return Check(name, False, str(error), remedy)
    if again.date_modified_gmt != rows[0].date_modified_gmt:
        return Check(name, True, "the newest order changed while it was looked for; try again for a certain answer")
    return Check(name, False, f"order {rows[0].id} is not listed at {stamp(moment)} UTC, when it was modified", remedy)


def _webhooks(subscriptions: Subscriptions) -> Check:
    remedy = "without them sales are found by polling only"
    try:
        problems = subscriptions.problems_anywhere()
    except ConnectorError as error:
        return Check("webhooks", False, str(error), remedy)
    if not problems:
        return Check("webhooks", True, "every topic has one that is on")
    detail = "; ".join(f"{topic}: {problem}" for topic, problem in problems.items())
    return Check("webhooks", False, detail, remedy)


def _signing(settings: WooCommerceSettings) -> Check:
    if settings.webhook_secrets:
        return Check("webhook secret", True, "set")
    detail = "webhook_secrets is not set: no webhook is registered, and every delivery is refused"
    return Check("webhook secret", False, detail, "set webhook_secrets to a long random text of your own")


def _exclusions(settings: WooCommerceSettings) -> Check:
    rules = [
        f"{what} {', '.join(words)}"
        for what, words in (
            ("created via", settings.exclude_created_via),
            ("with meta key", settings.exclude_meta_keys),
        )
        if words
    ]
    if rules:
        return Check("exclusion rules", True, f"orders do not count when {'; '.join(rules)}")
    detail = (
        "none. If orders of the marketplace are mirrored into this shop for fulfilment, exclude them by how they were "
        "made or by a meta key: their units are reserved on the marketplace already and would be taken twice"
    )
    return Check("exclusion rules", True, detail)
