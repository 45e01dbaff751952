"""The pages about the kinds of anomalies, made from the kinds: `python -m worker.alerts.pages docs/anomalies`."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

from worker.alerts.anomalies import SEVERITIES, WEIGHED_BY, Kind
from worker.alerts.explained import EXPLANATIONS
from worker.store.tables import Severity

INDEX = "README"
_HEAD = """# Anomalies

Something an operator must know is an anomaly. Each is about one thing (a listing, a channel, an order, a SKU): it
opens once, counts how often it is seen, and is resolved by itself when its cause is gone. If the cause comes back, so
does the same anomaly, marked "came back". `trueup anomalies list` and the console show them; `alerts.urls` in the
configuration has them sent.

- *Acknowledge* says that somebody has seen it: `trueup anomalies ack`.
- *Snooze* says that it can wait: nobody is told of it until then, unless it gets worse, or is resolved and comes back.
  `trueup anomalies snooze ID --until 8h --reason ...`; `trueup anomalies unsnooze ID` ends it early.
- *Resolve* says that it is settled, for what no record can tell; it opens again if its cause is seen again.

What trueup does about an anomaly goes on, whatever is said of it. Each of these pages is made from the code, by
`python -m worker.alerts.pages docs/anomalies`.

"""


def pages() -> Mapping[str, str]:
    """Every page by its name, without the extension."""
    return {INDEX: index(), **{kind.value: page(kind) for kind in Kind}}


def page(kind: Kind) -> str:
    """The page of one kind."""
    told = EXPLANATIONS[kind]
    worse = "\nA snoozed one opens again when it gets worse: its number grows.\n" if kind in WEIGHED_BY else ""
    more = f"\nMore: [{told.page}](../operations/{told.page}.md).\n" if told.page is not None else ""
    return f"""# {told.title}

`{kind.value}` · {SEVERITIES[kind].value} · [all kinds]({INDEX}.md)

## What happened

{told.means}

## What trueup does

{told.trueup}

## What to do

{told.you}

## When it ends

{told.ends}
{worse}{more}"""


def index() -> str:
    """The page that leads to all others."""
    sections = []
    for severity in (Severity.CRITICAL, Severity.ERROR, Severity.WARNING):
        rows = "".join(
            f"| [`{kind.value}`]({kind.value}.md) | {EXPLANATIONS[kind].title} |\n"
            for kind in sorted(Kind)
            if SEVERITIES[kind] is severity
        )
        sections.append(f"## {severity.value.capitalize()}\n\n| kind | what |\n| --- | --- |\n{rows}")
    return _HEAD + "\n".join(sections)


def write(folder: Path) -> None:
    """Write every page into a folder, and remove what is none of them."""
    folder.mkdir(exist_ok=True)
    made = pages()
    for path in folder.glob("*.md"):
        if path.stem not in made:
            path.unlink()
    for name, text in made.items():
        (folder / f"{name}.md").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    write(Path(sys.argv[1]))
