"""What each kind of anomaly means, what trueup does about it by itself, and what a person can do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from worker.alerts.anomalies import Kind


@dataclass(frozen=True, slots=True)
class Explanation:
    """One kind, for people."""

    title: str
    """A few words, as a heading."""
    means: str
    """What has happened, in general; an anomaly's own message says it in particular."""
    trueup: str
    """What trueup does by itself."""
    you: str
    """What a person can do."""
    page: str = "README"
    """Of docs/operations, without its extension."""


EXPLANATIONS: Mapping[Kind, Explanation] = {
    Kind.NEGATIVE_STOCK: Explanation(
        "Stock below zero",
        "The marketplace's number is below zero, which should be impossible: units that were given back were sold"
        " again, and then the giving back was undone.",
        "It names the reservation and transaction whose release did not hold, and writes nothing that would leave the"
        " number below zero.",
        "Look at that transaction on the marketplace, and correct the number there.",
    ),
    Kind.OVERSOLD: Explanation(
        "Oversold",
        "The channels sold more units than there are.",
        "It keeps the latest sales waiting, and takes them by itself when stock comes in.",
        "Cancel the latest sales in the shop or add stock on the marketplace. If you settled it with the buyers, accept"
        " the marketplace's number.",
    ),
    Kind.UNLINKED_SKU: Explanation(
        "SKU without a link",
        "A SKU was sold that is linked to no listing.",
        "It keeps the order lines waiting, and counts them as soon as there is a link.",
        "Link the SKU, here or with `trueup links import`. `trueup links suggest` says which listing it may be.",
    ),
    Kind.OUTCOME_UNKNOWN: Explanation(
        "Outcome of a write unknown",
        "The answer to a stock write was lost, and the marketplace's records do not tell yet whether it was executed.",
        "It writes nothing else to this listing, and goes on looking for evidence.",
        "Compare with the marketplace's own history of the listing, and say what became of the write.",
    ),
    Kind.ABSENT_REVOKED: Explanation(
        "A lost write came after all",
        "A write that was taken for never executed was executed late.",
        "It counts the write, and gives the surplus back with the next one.",
        "Nothing: this resolves by itself.",
    ),
    Kind.SALE_AT_RISK: Explanation(
        "A sale may have been overwritten",
        "This marketplace lets a number only be set, and it sold units of the listing at the same moment.",
        "It names the sale and the write.",
        "Compare with the shelf, correct the number on the marketplace, then accept it.",
    ),
    Kind.UNREADABLE_SALE: Explanation(
        "Sale cannot be read",
        "A sale of a marketplace that lets a number only be set cannot be read: whether it was overwritten is not"
        " known.",
        "It asks for the sale again after five minutes, then more and more seldom, and judges it once it can be read.",
        "Look at the sale on the marketplace, compare its listings with the shelf; see whether an upgrade knows its"
        " shape.",
    ),
    Kind.ORPHAN: Explanation(
        "An adjustment of nobody",
        "An adjustment was made with trueup's credentials, but not by trueup.",
        "It holds the listing: nothing is written to it.",
        "Find the other program that uses these credentials, or see whether the database was restored from a copy;"
        " then lift the hold.",
    ),
    Kind.RESTORED: Explanation(
        "The database was restored from a copy",
        "Listings were written with trueup's credentials while this database was not looking.",
        "It holds them, reads the channels again, and books what matches.",
        "Say what the rest was: `trueup recover`.",
        "restored-database",
    ),
    Kind.UNEXPLAINED_TOTAL: Explanation(
        "A number without an explanation",
        "The marketplace's log of adjustments does not lead to the number it shows.",
        "It goes on looking before it writes anything.",
        "Compare with the marketplace's own history of the listing.",
    ),
    Kind.UNEXPLAINED_ADJUSTMENT: Explanation(
        "Units without a cause",
        "The audit found units of a listing that moved, and neither a sale, a write of ours nor an edit explains it.",
        "It goes on looking for a cause, and reads the listing's log before it writes anything there.",
        "Compare with the marketplace's own history of the listing, then resolve this with what it was.",
        "audit",
    ),
    Kind.WRITE_REJECTED: Explanation(
        "Write refused",
        "The marketplace refuses a stock write to this listing.",
        "It tries again from time to time.",
        "Look at the listing on the marketplace, then look again.",
    ),
    Kind.LISTING_GONE: Explanation(
        "Listing deleted",
        "Sales wait for a listing that no longer exists.",
        "It keeps them waiting.",
        "Link the SKU to another listing: `trueup links correct`.",
    ),
    Kind.RETURN_WAITING: Explanation(
        "Return waiting",
        "Returned units would leave the number below zero.",
        "It gives them back once the negative stock is settled.",
        "Settle the negative stock on the marketplace.",
    ),
    Kind.ITEM_CHANGED: Explanation(
        "Order line changed its item",
        "An order line names another item than at first.",
        "It goes on counting it for the first one.",
        "Look at the order in the shop.",
    ),
    Kind.PARKED_DELIVERY: Explanation(
        "Webhook parked",
        "A webhook could not be read or handled.",
        "It keeps the webhook, and reads the order by polling.",
        "Mend the cause, then handle it anew.",
        "parked",
    ),
    Kind.PARKED_ORDER: Explanation(
        "Order parked",
        "An order cannot be read, or was first seen long after it was placed.",
        "It takes none of its units.",
        "Look at the order in the shop, then let it count.",
        "parked",
    ),
    Kind.NEEDS_REAUTHORISATION: Explanation(
        "Credentials refused",
        "The account refuses our credentials.",
        "It stops calling that account, and keeps its work.",
        "Renew them, restart, and run `trueup doctor`.",
        "credentials-refused",
    ),
    Kind.NOT_ANSWERING: Explanation(
        "Account does not answer",
        "The account has not answered for more than a minute.",
        "It leaves the account alone, tries once a minute, and goes on by itself.",
        "Look at the vendor's status page and at the network.",
        "vendor-down",
    ),
    Kind.UNUSABLE_ANSWER: Explanation(
        "Answers that cannot be used",
        "The account answers, but what is new there cannot be read.",
        "It asks again, and goes on by itself.",
        "Look at its settings and the vendor's status page; see whether an upgrade knows the answer.",
    ),
    Kind.WEBHOOK_BROKEN: Explanation(
        "Webhooks broken",
        "Webhooks are missing at the vendor, or broken.",
        "It finds sales by polling, and registers what it can.",
        "Run `trueup doctor`.",
    ),
    Kind.CURSOR_TOO_OLD: Explanation(
        "Feed not read for too long",
        "The change feed was not read for longer than the marketplace keeps it.",
        "It begins anew, and sweeps every listing.",
        "Look at the listings that it had closed.",
        "feed-too-old",
    ),
    Kind.UNREADABLE_LISTING: Explanation(
        "Listing cannot be read",
        "The marketplace shows a listing in a shape that it does not document.",
        "It leaves the listing alone, and reads it again from time to time.",
        "Look at the listing on the marketplace.",
        "parked",
    ),
    Kind.UNREADABLE_CHANGE: Explanation(
        "Event cannot be read",
        "An event of the change feed cannot be read.",
        "It reads the listing's log instead, or sweeps everything.",
        "See whether an upgrade knows it.",
        "parked",
    ),
    Kind.UNKNOWN_CHANGE_TYPE: Explanation(
        "Unknown kind of event",
        "The change feed carries a type that this version does not know.",
        "It skips and counts such events.",
        "Look for an upgrade.",
    ),
    Kind.CLOCK_SKEW: Explanation(
        "Clocks disagree",
        "This machine's clock and the vendor's disagree.",
        "It goes on: no unit is lost by it.",
        "Set the clock (NTP).",
    ),
    Kind.CLOSE_REFUSED: Explanation(
        "Closing or opening refused",
        "The marketplace refuses to close or open a listing.",
        "It tries again.",
        "Look at the listing on the marketplace.",
    ),
    Kind.PLAN_TOO_LARGE: Explanation(
        "A plan is too large",
        "A channel asks for more at once than trade does: many old sales, many units given back, or half of the stock"
        " of many listings.",
        "It writes nothing for the channel, and goes on reading its sales.",
        "Look at the plan on the page of holds. Confirm it if it is right; else mend its cause first: a link's start, a"
        " file of orders, the shop.",
        "large-plans",
    ),
    Kind.ALERTS_NOT_TAKEN: Explanation(
        "Alerts do not arrive",
        "A destination of alerts has not taken a message several times in a row.",
        "It tells the other destinations, and sends this one later what it has missed, for a week.",
        "Look at its address and at the service behind it, then send it a test: `trueup alerts test`.",
        "alerts",
    ),
}


def explain(kind: str) -> Explanation:
    """What a kind means; of one that a newer version wrote, that this one does not know it."""
    if kind in list(Kind):
        return EXPLANATIONS[Kind(kind)]
    return Explanation(kind, "A newer version of trueup has seen this.", "That version knows.", "Ask that version.")
