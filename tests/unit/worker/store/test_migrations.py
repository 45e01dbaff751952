"""The ids of migrations say what they do; see `worker.store.migrate`."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest
from alembic.config import Config
from alembic.script import ScriptDirectory

from worker.store.migrate import MIGRATIONS, Revision


def scripts() -> list[tuple[str, Path]]:
    """The ids and files of the migrations, in their order."""
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    walked = ScriptDirectory.from_config(config).walk_revisions()
    return [(script.revision, Path(script.path)) for script in walked][::-1]


def test_every_id_tells_its_number_and_what_has_been_taken_away() -> None:
    known = [Revision.of(name) for name, _ in scripts()]
    assert all(known)
    assert [revision.number for revision in known if revision] == list(range(1, len(known) + 1))
    for before, after in pairwise(revision for revision in known if revision):
        assert after.needs in {before.needs, after.number}


def test_every_file_begins_with_its_number() -> None:
    assert all(path.name.startswith(f"{name[:4]}_") for name, path in scripts())


@pytest.mark.parametrize(
    ("name", "number", "needs", "after_deploy"),
    [("0003", 3, 0, False), ("0004_after", 4, 4, True), ("0005_after_0004", 5, 4, False)],
)
def test_what_an_id_says(name: str, number: int, needs: int, after_deploy: bool) -> None:
    found = Revision.of(name)
    assert found is not None
    assert (found.number, found.needs, found.after_deploy) == (number, needs, after_deploy)


@pytest.mark.parametrize("name", ["", "3", "0003a", "0004_before", "0005_after_4", "a1b2c3d4e5f6"])
def test_other_ids_are_none_of_ours(name: str) -> None:
    assert Revision.of(name) is None
