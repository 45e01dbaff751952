"""The project of a new connector; tests/acceptance/test_new.py lints, types and runs what is written."""

from __future__ import annotations

import ast
import tomllib
from pathlib import Path

import pytest

from connectors.new import MAX_NAME_CHARACTERS, NewConnectorError, Role, write

BOTH: tuple[Role, ...] = ("channel", "marketplace")
EACH: list[tuple[Role, ...]] = [("channel",), ("marketplace",), BOTH]


def written(folder: Path) -> dict[str, str]:
    return {str(path.relative_to(folder)): path.read_text() for path in folder.rglob("*") if path.is_file()}


def test_a_project_is_written_under_its_own_names(tmp_path: Path) -> None:
    folder, files = write("acorn-tills", BOTH, tmp_path / "src")
    assert folder == tmp_path / "src" / "trueup-acorn-tills"
    assert {str(path.relative_to(folder)) for path in files} == written(folder).keys()
    project = tomllib.loads(written(folder)["pyproject.toml"])["project"]
    assert project["name"] == "trueup-acorn-tills"
    assert project["entry-points"]["trueup.connectors"] == {"acorn-tills": "trueup_acorn_tills:CONNECTOR"}
    channel = ast.parse(written(folder)["trueup_acorn_tills/channel.py"])
    assert "AcornTillsChannel" in {node.name for node in channel.body if isinstance(node, ast.ClassDef)}


@pytest.mark.parametrize("roles", EACH)
def test_it_has_what_its_roles_need_and_nothing_else(tmp_path: Path, roles: tuple[Role, ...]) -> None:
    folder, _ = write("zed", roles, tmp_path)
    files = written(folder)
    for role in BOTH:
        assert (f"trueup_zed/{role}.py" in files) == (role in roles)
        assert (f"tests/test_{role}.py" in files) == (role in roles)
        assert (f"open_{role}=Zed{role.capitalize()}," in files["trueup_zed/__init__.py"]) == (role in roles)
    assert ("webhook_secrets" in files["trueup_zed/settings.py"]) == ("channel" in roles)
    assert "trueup_zed/py.typed" in files
    for name, text in files.items():
        assert "acme" not in text.lower() + name, name
        assert "# new:" not in text, name


@pytest.mark.parametrize(
    "name",
    ["", "Acorn", "acorn_tills", "-acorn", "acorn-", "acorn--tills", "1acorn", "acörn", "../acorn", "a" * 21, "a\n"],
)
def test_a_name_that_is_none_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(NewConnectorError, match=r"is no name for a connector: .* like acorn-tills"):
        write(name, BOTH, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_the_longest_name_is_one(tmp_path: Path) -> None:
    write("a" * MAX_NAME_CHARACTERS, BOTH, tmp_path)


def test_a_name_that_is_taken_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NewConnectorError, match="A connector 'shopify' is installed already: choose another name"):
        write("shopify", BOTH, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_what_is_there_already_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "trueup-zed").mkdir()
    with pytest.raises(NewConnectorError, match=r"trueup-zed is there already: choose another --to, or remove it"):
        write("zed", BOTH, tmp_path)
    assert list((tmp_path / "trueup-zed").iterdir()) == []


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(NewConnectorError, match=r"trueup-zed cannot be written: Not a directory"):
        write("zed", BOTH, tmp_path / "file" / "below")


def test_what_tools_leave_beside_the_template_is_not_taken_along(tmp_path: Path) -> None:
    folder, _ = write("zed", BOTH, tmp_path)
    assert {path.rpartition(".")[2] for path in written(folder)} == {"md", "py", "toml", "typed"}
