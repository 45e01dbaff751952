"""The `trueup` command: what there is, and how expected errors end it."""

from __future__ import annotations

from typing import Any

import typer
import typer.core

from worker.cli import audit, decide, look, recover, serving, setup, tryout, work
from worker.cli.alerts import alerts
from worker.cli.anomalies import anomalies
from worker.cli.channels import channels
from worker.cli.connectors import connectors
from worker.cli.context import examples
from worker.cli.exits import MEANINGS, explained
from worker.cli.imports import imports
from worker.cli.links import links
from worker.cli.operators import operators
from worker.cli.orders import orders
from worker.cli.output import note

EXIT_CODES = "Exit codes: " + "; ".join(f"{code.value} {meaning}" for code, meaning in MEANINGS.items()) + "."


class Commands(typer.core.TyperGroup):
    """Turns expected errors into a sentence on standard error and an exit code, for every command at once."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except Exception as error:
            found = explained(error)
            if found is None:
                raise
            message, code = found
            note(message)
            raise typer.Exit(code) from None


app = typer.Typer(
    name="trueup",
    cls=Commands,
    help="Keeps a marketplace's stock true: every sale on another channel takes effect on it exactly once.",
    epilog=f"{EXIT_CODES}\n\n" + examples("trueup demo", "trueup init && trueup doctor && trueup run"),
    no_args_is_help=True,
    rich_markup_mode="rich",
    # Local variables may hold secrets: an unexpected error shows Python's plain traceback.
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["--help", "-h"]},
)

SET_UP, SERVE, LOOK, ACT, TRY = "Set up", "Serve", "Look", "Act", "Try out"

app.command(
    rich_help_panel=SET_UP,
    epilog=examples(
        "trueup init",
        "trueup init --marketplace sharetribe --marketplace-option client_id=env:ST_ID "
        "--marketplace-option client_secret=env:ST_SECRET --channel acme-shop --channel-connector shopify "
        "--channel-option shop=acme-shop.myshopify.com --channel-option access_token=env:ACME_TOKEN --seller 0000…",
        "trueup init --migrate-only",
        "trueup init --migrate-only --after-deploy",
    ),
)(setup.init)
app.command(rich_help_panel=SET_UP, epilog=examples("trueup doctor", "trueup doctor --json"))(look.doctor)
app.add_typer(links, name="links", rich_help_panel=SET_UP)
app.add_typer(operators, name="operators", rich_help_panel=SET_UP)

app.command(rich_help_panel=SERVE, epilog=examples("trueup run --config trueup.toml"))(serving.run)
app.command(rich_help_panel=SERVE, epilog=examples("trueup worker --config trueup.toml"))(serving.worker)
app.command(rich_help_panel=SERVE, epilog=examples("trueup beat --config trueup.toml"))(serving.beat)
app.command(rich_help_panel=SERVE, epilog=examples("trueup web --config trueup.toml", "trueup web --console-only"))(
    serving.web
)

app.command(
    rich_help_panel=LOOK,
    epilog=examples("trueup status", "trueup status --watch --every 5", "trueup status --check --json"),
)(look.status)
app.command(
    rich_help_panel=LOOK,
    epilog=examples("trueup plan", "trueup plan --channel acme-shop --fresh", "trueup plan --json"),
)(look.plan)
app.command(
    rich_help_panel=LOOK,
    epilog=examples(
        "trueup audit",
        "trueup audit --listing 2fd8…",
        "trueup audit --listing 2fd8… --csv > 2fd8.csv",
        "trueup audit --json",
    ),
)(audit.audit)
app.add_typer(channels, name="channels", rich_help_panel=LOOK)
app.add_typer(decide.holds, name="holds", rich_help_panel=LOOK)
app.add_typer(anomalies, name="anomalies", rich_help_panel=LOOK)
app.add_typer(alerts, name="alerts", rich_help_panel=LOOK)
app.add_typer(decide.deliveries, name="deliveries", rich_help_panel=LOOK)
app.add_typer(orders, name="orders", rich_help_panel=LOOK)
app.add_typer(decide.operations, name="operations", rich_help_panel=LOOK)

app.command(rich_help_panel=ACT, epilog=examples("trueup poll", "trueup poll acme-shop"))(work.poll)
app.add_typer(imports, name="import", rich_help_panel=ACT)
app.command(rich_help_panel=ACT, epilog=examples("trueup reconcile", "trueup reconcile --json"))(work.reconcile)
app.command(rich_help_panel=ACT, epilog=examples("trueup sweep"))(work.sweep)
app.command(
    rich_help_panel=ACT,
    epilog=examples("trueup recover", "trueup recover --since 2026-11-25T14:00Z --yes", "trueup recover --ours 2fd8…"),
)(recover.recover)

app.command(
    rich_help_panel=TRY,
    epilog=examples("trueup demo", "trueup demo --limit 0 --seed 7", "trueup demo --limit 500 --keep"),
)(tryout.demo)
app.command(
    rich_help_panel=TRY,
    epilog=examples("trueup sandbox sharetribe --port 8081", "trueup sandbox shopify --options '{\"seed\": 7}'"),
)(tryout.sandbox)
app.add_typer(connectors, name="connectors", rich_help_panel=TRY)
app.command(rich_help_panel=TRY, epilog=examples("trueup version"))(tryout.version)


def main() -> None:
    """Run the command line. Ends the process with one of `worker.cli.exits.ExitCode`."""
    app()
