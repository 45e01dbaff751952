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
    ends: str
    """When it is resolved."""
    page: str | None = None
    """Of docs/operations, without its extension, where one says more."""


EXPLANATIONS: Mapping[Kind, Explanation] = {
    Kind.NEGATIVE_STOCK: Explanation(
        "Stock below zero",
        "The marketplace's number is below zero, which should be impossible: units that were given back were sold"
        " again, and then the giving back was undone.",
        "It names the reservation and transaction whose release did not hold, and writes nothing that would leave the"
        " number below zero.",
        "Look at that transaction on the marketplace, and correct the number there.",
        "The number is zero or more.",
    ),
    Kind.OVERSOLD: Explanation(
        "Oversold",
        "The channels sold more units than there are.",
        "It keeps the latest sales waiting, and takes them by itself when stock comes in.",
        "Cancel the latest sales in the shop or add stock on the marketplace. If you settled it with the buyers, accept"
        " the marketplace's number.",
        "Enough stock came in, sales were cancelled, or the marketplace's number was accepted.",
    ),
    Kind.UNLINKED_SKU: Explanation(
        "SKU without a link",
        "A SKU was sold that is linked to no listing.",
        "It keeps the order lines waiting, and counts them as soon as there is a link.",
        "Link the SKU, here or with `trueup links import`. `trueup links suggest` says which listing it may be.",
        "The SKU is linked, or nothing of it is sold any more.",
    ),
    Kind.OUTCOME_UNKNOWN: Explanation(
        "Outcome of a write unknown",
        "The answer to a stock write was lost, and the marketplace's records do not tell yet whether it was executed.",
        "It writes nothing else to this listing, and goes on looking for evidence.",
        "Compare with the marketplace's own history of the listing, and say what became of the write.",
        "The outcome is found, or said by a person.",
    ),
    Kind.ABSENT_REVOKED: Explanation(
        "A lost write came after all",
        "A write that was taken for never executed was executed late.",
        "It counts the write, and gives the surplus back with the next one.",
        "Nothing: this resolves by itself.",
        "The surplus has been given back.",
    ),
    Kind.SALE_AT_RISK: Explanation(
        "A sale may have been overwritten",
        "This marketplace lets a number only be set, and it sold units of the listing at the same moment.",
        "It names the sale and the write.",
        "Compare with the shelf, correct the number on the marketplace, then accept it.",
        "Somebody accepts the number or resolves it: no record can tell.",
    ),
    Kind.UNREADABLE_SALE: Explanation(
        "Sale cannot be read",
        "A sale of a marketplace that lets a number only be set cannot be read: whether it was overwritten is not"
        " known.",
        "It asks for the sale again after five minutes, then more and more seldom, and judges it once it can be read.",
        "Look at the sale on the marketplace, compare its listings with the shelf; see whether an upgrade knows its"
        " shape.",
        "The sale can be read, or is not shown any more.",
    ),
    Kind.ORPHAN: Explanation(
        "An adjustment of nobody",
        "An adjustment was made with trueup's credentials, but not by trueup.",
        "It holds the listing: nothing is written to it.",
        "Find the other program that uses these credentials, or see whether the database was restored from a copy;"
        " then lift the hold.",
        "The hold is lifted.",
    ),
    Kind.RESTORED: Explanation(
        "The database was restored from a copy",
        "Listings were written with trueup's credentials while this database was not looking.",
        "It holds them, reads the channels again, and books what matches.",
        "Say what the rest was: `trueup recover`.",
        "The account of every listing is made up again.",
        "restored-database",
    ),
    Kind.UNEXPLAINED_TOTAL: Explanation(
        "A number without an explanation",
        "The marketplace's log of adjustments does not lead to the number it shows.",
        "It goes on looking before it writes anything.",
        "Compare with the marketplace's own history of the listing.",
        "The log leads to the number again.",
    ),
    Kind.UNEXPLAINED_ADJUSTMENT: Explanation(
        "Units without a cause",
        "The audit found units of a listing that moved, and neither a sale, a write of ours nor an edit explains it.",
        "It goes on looking for a cause, and reads the listing's log before it writes anything there.",
        "Compare with the marketplace's own history of the listing, then resolve this with what it was.",
        "A cause is found, or somebody says what it was.",
        "audit",
    ),
    Kind.WRITE_REJECTED: Explanation(
        "Write refused",
        "The marketplace refuses a stock write to this listing.",
        "It tries again from time to time.",
        "Look at the listing on the marketplace, then look again.",
        "A write succeeds, or nothing is to be written.",
    ),
    Kind.LISTING_GONE: Explanation(
        "Listing deleted",
        "Sales wait for a listing that no longer exists.",
        "It keeps them waiting.",
        "Link the SKU to another listing: `trueup links correct`.",
        "Nothing waits for the listing any more.",
    ),
    Kind.RETURN_WAITING: Explanation(
        "Return waiting",
        "Returned units would leave the number below zero.",
        "It gives them back once the negative stock is settled.",
        "Settle the negative stock on the marketplace.",
        "The units are given back.",
    ),
    Kind.ITEM_CHANGED: Explanation(
        "Order line changed its item",
        "An order line names another item than at first.",
        "It goes on counting it for the first one.",
        "Look at the order in the shop.",
        "The line names its first item again, or is gone from the order.",
    ),
    Kind.PARKED_DELIVERY: Explanation(
        "Webhook parked",
        "A webhook could not be read or handled.",
        "It keeps the webhook, and reads the order by polling.",
        "Mend the cause, then handle it anew.",
        "It is handled anew, or its body is dropped after its days.",
        "parked",
    ),
    Kind.PARKED_ORDER: Explanation(
        "Order parked",
        "An order cannot be read, or was first seen long after it was placed.",
        "It takes none of its units.",
        "Look at the order in the shop, then let it count.",
        "A readable snapshot of it comes, or somebody lets it count.",
        "parked",
    ),
    Kind.NEEDS_REAUTHORISATION: Explanation(
        "Credentials refused",
        "The account refuses our credentials.",
        "It stops calling that account, and keeps its work.",
        "Renew them, restart, and run `trueup doctor`.",
        "`trueup doctor` finds that they are accepted.",
        "credentials-refused",
    ),
    Kind.NOT_ANSWERING: Explanation(
        "Account does not answer",
        "The account has not answered for more than a minute.",
        "It leaves the account alone, tries once a minute, and goes on by itself.",
        "Look at the vendor's status page and at the network.",
        "The account answers.",
        "vendor-down",
    ),
    Kind.UNUSABLE_ANSWER: Explanation(
        "Answers that cannot be used",
        "The account answers, but what is new there cannot be read; or its connector fails, or cannot be loaded.",
        "It asks again, and goes on by itself.",
        "Look at its settings and the vendor's status page; see whether an upgrade knows the answer. Of a broken"
        " package `trueup connectors` tells: mend it, restart.",
        "The next answer can be used.",
    ),
    Kind.WEBHOOK_MISSING: Explanation(
        "Webhooks missing",
        "Webhooks are missing at the vendor, or it has disabled them.",
        "It finds sales by polling, and registers what it can.",
        "Run `trueup doctor`.",
        "Every webhook is registered.",
    ),
    Kind.WEBHOOK_BROKEN: Explanation(
        "Webhooks do not come",
        "Polling found more than ten new orders in a day that no webhook had told of two minutes after they were"
        " placed, although the webhooks are registered.",
        "It finds sales by polling. What a poll finds after a pause of an hour does not count: then it was trueup that"
        " was away.",
        "Look at the deliveries in the vendor's own pages, and whether its calls reach the receiver: the proxy, its"
        " certificate, a firewall.",
        "Polling has found ten or fewer orders first in the last day.",
    ),
    Kind.CHANNEL_SILENT: Explanation(
        "Channel sells less than usual",
        "A channel that answers had less than a fifth of the orders that it had in the leanest stretch of the same"
        " length within two weeks. It is judged by stretches of 6 to 72 hours, once the channel is known for a week and"
        " that leanest stretch has ten orders.",
        "It goes on polling.",
        "Look in the shop whether it is open and takes payments, and whether this account still sees its orders.",
        "As much is sold as a fifth of what was usual when it went quiet.",
    ),
    Kind.FEED_LATE: Explanation(
        "Feed or poll late",
        "The marketplace's change feed, or the orders of a channel, have not been read to their head for ten minutes or"
        " more, although the account may be called.",
        "It goes on where it stopped.",
        "See that workers and beat run, and what their log says. After a long pause, let it catch up.",
        "It has been read to its head.",
    ),
    Kind.CURSOR_TOO_OLD: Explanation(
        "Feed not read for too long",
        "The change feed was not read for longer than the marketplace keeps it.",
        "It begins anew, and sweeps every listing.",
        "Look at the listings that it had closed.",
        "A full sweep has compared every listing.",
        "feed-too-old",
    ),
    Kind.UNREADABLE_LISTING: Explanation(
        "Listing cannot be read",
        "The marketplace shows a listing in a shape that it does not document.",
        "It leaves the listing alone, and reads it again from time to time.",
        "Look at the listing on the marketplace.",
        "The listing can be read.",
        "parked",
    ),
    Kind.UNREADABLE_CHANGE: Explanation(
        "Event cannot be read",
        "An event of the change feed cannot be read.",
        "It reads the listing's log instead, or sweeps everything.",
        "See whether an upgrade knows it.",
        "The log, or a full sweep, has told what the event hid.",
        "parked",
    ),
    Kind.UNKNOWN_CHANGE_TYPE: Explanation(
        "Unknown kind of event",
        "The change feed carries a type that this version does not know.",
        "It skips and counts such events.",
        "Look for an upgrade.",
        "Somebody resolves it, after an upgrade that knows the type.",
    ),
    Kind.CLOCK_SKEW: Explanation(
        "Clocks disagree",
        "This machine's clock and the vendor's disagree.",
        "It goes on: no unit is lost by it.",
        "Set the clock (NTP).",
        "The clocks agree to half a minute.",
    ),
    Kind.CLOSE_REFUSED: Explanation(
        "Closing or opening refused",
        "The marketplace refuses to close or open a listing.",
        "It tries again.",
        "Look at the listing on the marketplace.",
        "It is closed or opened, or need not be any more.",
    ),
    Kind.OPEN_AT_ZERO: Explanation(
        "On sale without stock",
        "A listing that should have been closed half an hour ago or longer is still on sale: somebody opened it again,"
        " a hold keeps it from being closed, or closing it does not come about.",
        "It closes the listing once it may. What somebody opened again it leaves to them, until it has had stock.",
        "Close it on the marketplace, add stock, or lift the hold.",
        "It is closed, or has stock.",
    ),
    Kind.CLOSED_WITH_STOCK: Explanation(
        "Closed although there is stock",
        "A listing with stock is closed, and that may be trueup's doing: it closed the listing and may not open it now,"
        " because of a hold; or a closing whose answer was lost, taken for never executed, was executed after all where"
        " no record shows it.",
        "It opens what it certainly closed, once it may. It never opens what somebody else may have closed.",
        "Lift the hold; or, if nobody else closed the listing, open it on the marketplace.",
        "It is on sale again, has no stock any more, or the feed tells that somebody else closed it.",
    ),
    Kind.RESERVATION_PENDING: Explanation(
        "Reservation pending for too long",
        "A buyer's transaction has held units for longer than `policy.reservations_pending_hours` without being"
        " accepted or ended: they are neither sold nor for sale. Asked of marketplaces that can tell, once an hour.",
        "Nothing: the units are the marketplace's to give back.",
        "Complete or cancel that transaction on the marketplace; see why its process does not end by itself.",
        "It is not pending any more.",
    ),
    Kind.DUPLICATE_LINK: Explanation(
        "Two SKUs linked alike",
        "Several SKUs of one channel are linked to the same listing with the same number of units, and to nothing else"
        " (a kit shares its parts). That is right where one product is sold under two SKUs, and otherwise a slip in a"
        " table: sales of one product are taken from another's listing.",
        "It counts the sales as linked. Whenever links of the channel change, it looks again.",
        "See `trueup links export`. Acknowledge it if it is meant so; else `trueup links correct`.",
        "No listing has two such links of the channel any more.",
    ),
    Kind.PLAN_TOO_LARGE: Explanation(
        "A plan is too large",
        "A channel asks for more at once than trade does: many old sales, many units given back, or half of the stock"
        " of many listings.",
        "It writes nothing for the channel, and goes on reading its sales.",
        "Look at the plan on the page of holds. Confirm it if it is right; else mend its cause first: a link's start, a"
        " file of orders, the shop.",
        "Somebody confirms the plan, or it is not too large any more.",
        "large-plans",
    ),
    Kind.ALERTS_NOT_TAKEN: Explanation(
        "Alerts do not arrive",
        "A destination of alerts has not taken a message several times in a row.",
        "It tells the other destinations, and sends this one later what it has missed, for a week.",
        "Look at its address and at the service behind it, then send it a test: `trueup alerts test`.",
        "It takes a message, or is taken out of the configuration.",
        "alerts",
    ),
}


def explain(kind: str) -> Explanation:
    """What a kind means; of one that a newer version wrote, that this one does not know it."""
    if kind in list(Kind):
        return EXPLANATIONS[Kind(kind)]
    newer = "That version knows."
    return Explanation(kind, "A newer version of trueup has seen this.", newer, "Ask that version.", newer)
