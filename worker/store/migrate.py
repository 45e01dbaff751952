"""Bringing a database to the present schema, in two halves, so that old code goes on working meanwhile.

A *before-deploy* migration only adds: code that does not know it works on beside code that does. An *after-deploy*
migration takes away what only older code needs, and runs when no process of that code is left. A migration's id says
which it is, and what has been taken away so far, so that code can judge a database that is newer than itself:

    0003             before deploy
    0004_after       after deploy
    0005_after_0004  before deploy; 0004 has taken something away, so only code that knows 0004 works with it
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path
from typing import Self

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from worker.store.engine import Store

MIGRATIONS = Path(__file__).parent / "migrations"

BEGIN = "trueup init --migrate-only"
"""The command that runs the first half of an upgrade."""
FINISH = "trueup init --migrate-only --after-deploy"
"""The command that runs the second half of an upgrade."""


class UpgradeRefusedError(Exception):
    """This half of the upgrade cannot run as things are; nothing was changed by it. The text says what to do."""


@dataclass(frozen=True, slots=True)
class Revision:
    """A migration, as its id tells."""

    id: str
    number: int
    needs: int
    """Code must know the migration of this number to work with a database that is here; 0: nothing was taken away."""

    @classmethod
    def of(cls, name: str) -> Self | None:
        """None when the id is not one of ours."""
        found = re.fullmatch(r"(\d{4})(_after(?:_(\d{4}))?)?", name)
        if found is None:
            return None
        number = int(found[1])
        needs = 0 if found[2] is None else int(found[3] or number)
        return cls(name, number, needs)

    @property
    def after_deploy(self) -> bool:
        """Whether it takes away what older code needs."""
        return self.needs == self.number


@dataclass(frozen=True, slots=True)
class Standing:
    """How this code and a database stand to each other."""

    present: str | None
    """The schema that the database has; None when it has none of ours."""
    usable: bool
    """Whether this code works with it."""
    said: str
    """What is so, after "the database "."""
    remedy: str = ""
    """What to do; empty when nothing is to be done."""

    def __str__(self) -> str:
        remedy = f" {self.remedy[0].upper()}{self.remedy[1:]}." if self.remedy else ""
        return f"The database {self.said}.{remedy}"


def upgrade(store: Store, *, after_deploy: bool = True) -> None:
    """Run the migrations that this database has not seen. Idempotent; two at once wait for each other.

    Without `after_deploy`, only what older code bears, for while it still runs; an empty database gets everything. It
    happens as a whole or not at all. Raises `UpgradeRefusedError`.
    """
    config = _config()
    with store.migrate() as connection:
        if not store.is_sqlite:
            connection.exec_driver_sql("SELECT pg_advisory_xact_lock(hashtext('trueup-migrations'))")
        present = MigrationContext.configure(connection).get_current_revision()
        target = _target(present, after_deploy=after_deploy)
        if target is not None:
            config.attributes["connection"] = connection
            command.upgrade(config, target)


def _target(present: str | None, *, after_deploy: bool) -> str | None:
    """How far to go from `present`; None when there is nowhere to go."""
    known = _known()
    if present is None:
        return known[-1].id
    here = Revision.of(present)
    if here is None or here.number > known[-1].number:
        standing = _judge(present)
        if not standing.usable:
            raise UpgradeRefusedError(str(standing))
        return None
    waiting = [revision for revision in known if revision.number > here.number]
    if not after_deploy:
        reached = list(takewhile(lambda revision: not revision.after_deploy, waiting))
        if any(not revision.after_deploy for revision in waiting[len(reached) :]):
            raise UpgradeRefusedError(
                f"The database has schema {present}, and what {waiting[len(reached)].id} takes away must be gone before"
                f" this version can use it: end every process of older versions, then run `{FINISH}`."
            )
        waiting = reached
    return waiting[-1].id if waiting else None


def newest_revision() -> str:
    """The schema that this version of trueup makes."""
    return _known()[-1].id


def present_revision(store: Store) -> str | None:
    """The schema that the database has; None when it has none of ours."""
    with store.read() as connection:
        return MigrationContext.configure(connection).get_current_revision()


def standing(store: Store) -> Standing:
    """How this code and the database stand to each other, at this moment."""
    return _judge(present_revision(store))


def _judge(present: str | None) -> Standing:
    known = _known()
    newest = known[-1]
    needed = [revision for revision in known if not revision.after_deploy][-1]
    if present is None:
        return Standing(None, usable=False, said="has no tables yet", remedy=f"run `{BEGIN}`")
    here = Revision.of(present)
    said = f"has schema {present}"
    if here is None:
        return Standing(present, usable=False, said=f"{said}, which is none of trueup's", remedy="check database.url")
    if here.needs > newest.number:
        said += ", from which a newer version of trueup has taken what this one needs"
        return Standing(present, usable=False, said=said, remedy="run that version")
    if here.number < needed.number:
        said += f", and this version needs {needed.id}"
        return Standing(present, usable=False, said=said, remedy=f"run `{BEGIN}`")
    if here.number > newest.number:
        said += ", of a newer version of trueup; this one works with it"
        return Standing(present, usable=True, said=said)
    if here.number < newest.number:
        said += "; the second half of its upgrade waits"
        return Standing(present, usable=True, said=said, remedy=f"run `{FINISH}` once no older version runs")
    return Standing(present, usable=True, said=said)


def _known() -> Sequence[Revision]:
    """The migrations that this code has, in their order."""
    scripts = reversed(list(ScriptDirectory.from_config(_config()).walk_revisions()))
    known = [Revision.of(script.revision) for script in scripts]
    return [revision for revision in known if revision is not None]


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    return config
