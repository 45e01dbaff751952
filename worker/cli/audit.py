"""`audit`: why every number is what it is."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from itertools import islice
from typing import TYPE_CHECKING, Annotated

import typer

from worker.cli.context import Config, Json, opened
from worker.cli.exits import CommandError, ExitCode
from worker.cli.output import note, print_json, print_table, progress, say, shown

if TYPE_CHECKING:
    from worker.audit.service import Run
    from worker.audit.statement import Line, Proof, Statement, Statements

LINES_SHOWN = 50
LISTINGS_SHOWN = 50


def audit(
    listing: Annotated[str | None, typer.Option(help="Only this listing, with its account line by line.")] = None,
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Ask for every listing, also for those that have not changed since.")
    ] = False,
    kept: Annotated[bool, typer.Option("--kept", help="Ask nobody: show what the last audits found.")] = False,
    csv: Annotated[
        bool, typer.Option("--csv", help="Print CSV: the account of one listing, or a row for every listing.")
    ] = False,
    limit: Annotated[
        int, typer.Option(help="Most lines of an account to print (CSV and JSON have all).", min=1)
    ] = LINES_SHOWN,
    config: Config = None,
    json: Json = False,
) -> None:
    """Prove the numbers: what each listing began with, what moved it and why, and what is there now.

    Asks the marketplace about the listings of which something was written, read or heard since their last proof, and
    about no others. Never writes stock. A unit without a cause becomes an anomaly, and the command exits with 1.
    """
    from worker.audit.statement import Statements, lines_csv, proofs_csv

    if fresh and kept:
        raise CommandError("--fresh asks for everything and --kept for nothing: choose one of them.")
    if csv and json:
        raise CommandError("--csv or --json: choose one of them.")
    run = None
    with opened(config) as services:
        statements = Statements(services.store, services.marketplace)
        if listing is not None:
            _require_listing(statements, listing)
        if not kept:
            known = 1 if listing is not None else services.overview.count_listings()
            with progress("proving", known or None) as move:
                run = services.auditor.run(listing_id=listing, fresh=fresh, on_listing=move)
        if csv:
            rows = proofs_csv(statements.proofs()) if listing is None else lines_csv(statements.lines(listing))
            sys.stdout.writelines(rows)
            wrong = _is_wrong(statements, listing)
        elif listing is not None:
            wrong = _one(statements, listing, limit, json=json)
        else:
            wrong = _all(statements, run, json=json)
    if wrong:
        if csv or json:
            note("Units are without a cause: `trueup anomalies list --kind unexplained-adjustment`.")
        raise typer.Exit(ExitCode.WRONG)


def _require_listing(statements: Statements, listing: str) -> None:
    if statements.statement(listing, limit=1) is None:
        message = f"There is no listing {listing}. `trueup sweep` reads every listing of the marketplace."
        raise CommandError(message, ExitCode.WRONG)


def _is_wrong(statements: Statements, listing: str | None) -> bool:
    from worker.store.tables import ProofState

    if listing is None:
        return bool(statements.open_ones(ProofState.UNEXPLAINED, limit=1))
    found = statements.statement(listing, limit=1)
    return found is not None and found.proof is not None and found.proof.state is ProofState.UNEXPLAINED


# --- one listing ------------------------------------------------------------------------------------------------


def _one(statements: Statements, listing: str, limit: int, *, json: bool) -> bool:
    found = statements.statement(listing)
    assert found is not None  # noqa: S101  looked up before
    if json:
        lines = list(statements.lines(listing))
        print_json({"proof": found.proof, "total": found.total, "lines": lines, "limits": statements.limits})
    else:
        _show_statement(found, list(islice(statements.lines(listing), limit + 1)), limit)
        for sentence in statements.limits:
            say(sentence)
    return _is_wrong(statements, listing)


def _show_statement(found: Statement, lines: list[Line], limit: int) -> None:
    proof = found.proof
    say(f"{found.listing_id} {found.title}".strip())
    if proof is None:
        say("It has not been proved yet.")
    else:
        say(
            f"{proof.state.value}: opened with {shown(proof.opening_total)} at {shown(proof.opening_at)},"
            f" {shown(proof.total)} when it was looked at, at {shown(proof.looked_at)}."
        )
        if proof.note:
            say(f"Still open: {proof.note}.")
        sums = [(cause.value, entry.adjustments, entry.units) for cause, entry in proof.sums.items()]
        print_table(("Cause", "Adjustments", "Units"), sums, title="By cause", empty="nothing moved it")
        print_table(
            ("Seen", "Units", "Adjustment", "What is known of it"),
            [(entry.at, entry.units, entry.adjustment, entry.why) for entry in proof.without_cause],
            title="Without a cause",
        )
    print_table(
        ("When", "Change", "Number", "Cause", "For"),
        [(line.at, line.change, line.total_after, line.cause.value, _reference(line)) for line in lines[:limit]],
        title="Line by line, the latest first",
    )
    if len(lines) > limit:
        say("… and more: --limit, --csv and --json show them.")


def _reference(line: Line) -> str:
    if line.operation is None:
        return line.transaction or line.reservation or line.adjustment or ""
    orders = ", ".join(f"{order.channel} {order.order_id} ({-order.units:+})" for order in line.orders)
    return f"write {line.operation}: {orders}" if orders else f"write {line.operation}"


# --- all of them ------------------------------------------------------------------------------------------------


def _all(statements: Statements, run: Run | None, *, json: bool) -> bool:
    from worker.store.tables import ProofState

    unexplained = statements.open_ones(ProofState.UNEXPLAINED)
    waiting = statements.open_ones(ProofState.WAITING)
    last = run or statements.last_run()
    if json:
        found = {"unexplained": unexplained, "waiting": waiting, "limits": statements.limits}
        print_json({"run": last, **found})
        return bool(unexplained)
    if last is None:
        say("There has been no audit yet.")
    else:
        looked = ", ".join(f"{count} {state}" for state, count in sorted(last.states.items())) or "none"
        say(
            f"{last.compared} listings: {last.unchanged} unchanged since their last proof, {last.called_for} asked"
            f" about. Looked at: {looked}."
        )
    for title, proofs in (("Without a cause", unexplained), ("Waiting for a cause", waiting)):
        if proofs:
            _show_open(title, proofs)
    for sentence in statements.limits:
        say(sentence)
    say("Units are without a cause." if unexplained else "No unit is without a cause.")
    return bool(unexplained)


def _show_open(title: str, proofs: Sequence[Proof]) -> None:
    print_table(
        ("Listing", "Title", "Units", "Number", "What is known"),
        [
            (
                proof.listing_id,
                proof.title,
                proof.units_without_cause,
                proof.total,
                "; ".join(entry.why for entry in proof.without_cause) or proof.note or "",
            )
            for proof in proofs[:LISTINGS_SHOWN]
        ],
        title=title,
    )
    if len(proofs) > LISTINGS_SHOWN:
        say("… and more: `trueup audit --kept --csv` has all of them.")
