"""A connector that is not ours: built, installed beside trueup from its own project, and used as any user would.

Nothing of this repository is on the path there: trueup itself is built and installed too, so what the wheel lacks is
missed. Only what both depend on is borrowed from the environment of the tests.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import sysconfig
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

import httpx
import pytest

from tests.servers import free_port

CODE = Path(__file__).parents[2]
EXAMPLE = CODE / "docs" / "examples" / "acorn"
WITHIN_SECONDS = 120.0

pytestmark = pytest.mark.timeout(600)

CONFIGURATION = """
[database]
url = "sqlite:///{folder}/trueup.db"
[marketplace]
connector = "sharetribe"
client_id = "{client_id}"
client_secret = "env:ST_SECRET"
base_url = "{sharetribe}"
[channels.corner]
connector = "acorn"
any_seller = true
counted_from = 2026-01-01T00:00:00Z
poll_seconds = 86400
shop = "corner"
api_key = "env:ACORN_KEY"
webhook_secrets = ["env:ACORN_HOOK_SECRET"]
base_url = "{acorn}"
[policy]
confirm_new_channels = false
[web]
port = {port}
public_url = "http://127.0.0.1:{port}"
[console]
enabled = false
"""


class Outside:
    """A virtual environment with trueup and what else is installed into it."""

    def __init__(self, folder: Path) -> None:
        self._bin = folder / "venv" / "bin"
        self.folder = folder
        make = [sys.executable, "-m", "virtualenv", "--quiet", "--no-download", "--app-data", str(folder / "seeds")]
        subprocess.run([*make, str(folder / "venv")], check=True)
        # A plain line: what is installed there is importable, and what lives elsewhere (this repository) is not.
        found = self.python("-c", "import sysconfig; print(sysconfig.get_path('purelib'))")
        self.site = Path(found.stdout.strip())
        (self.site / "borrowed.pth").write_text(sysconfig.get_path("purelib") + "\n")

    def install(self, project: Path) -> None:
        """Build a project and install what comes of it, from nowhere else."""
        options = ("--quiet", "--no-index", "--no-deps", "--no-build-isolation", "--ignore-installed")
        installed = self.python("-m", "pip", "install", *options, str(project))
        assert installed.returncode == 0, installed.stdout + installed.stderr

    def _environment(self, variables: Mapping[str, str]) -> Mapping[str, str]:
        return {"PATH": f"{self._bin}:{os.environ['PATH']}", "HOME": str(self.folder), **variables}

    def python(self, *arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
        return self._run(str(self._bin / "python"), *arguments, cwd=cwd or self.folder, variables={})

    def trueup(self, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        return self._run(str(self._bin / "trueup"), *arguments, cwd=self.folder, variables=variables)

    def _run(self, *command: str, cwd: Path, variables: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command,
            cwd=cwd,
            env=self._environment(variables),
            capture_output=True,
            text=True,
            check=False,
        )

    @contextmanager
    def serving(self, *arguments: str, **variables: str) -> Iterator[subprocess.Popen[str]]:
        """A `trueup` command that runs until it is told to end, and then ends well. A test that fails shows its log."""
        with TemporaryFile() as log:
            process = subprocess.Popen(
                [str(self._bin / "trueup"), *arguments],
                cwd=self.folder,
                env=self._environment(variables),
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
            assert process.stdout is not None
            try:
                with process.stdout:
                    yield process
                    process.send_signal(signal.SIGTERM)
                    assert process.wait(WITHIN_SECONDS) == 0
            finally:
                if process.poll() is None:
                    process.kill()
                    process.wait()
                log.seek(0)
                sys.stdout.write(f"--- trueup {arguments[0]}\n{log.read().decode()}")


@pytest.fixture(scope="module")
def outside(tmp_path_factory: pytest.TempPathFactory) -> Outside:
    made = Outside(tmp_path_factory.mktemp("outside"))
    for project in (CODE, EXAMPLE):
        made.install(project)
    return made


class Vendors:
    """A marketplace and an Acorn shop, as `trueup sandbox` serves them, and a configuration of both."""

    def __init__(self, outside: Outside, folder: Path, sharetribe: str, acorn: str) -> None:
        self._outside = outside
        self._sharetribe = sharetribe
        self._acorn = acorn
        self.config = folder / "trueup.toml"
        self.port = free_port()
        found = outside.python("-c", "from connectors.sharetribe.sandbox import Options; print(Options().client_id)")
        self.config.write_text(
            CONFIGURATION.format(
                folder=folder, client_id=found.stdout.strip(), sharetribe=sharetribe, acorn=acorn, port=self.port
            )
        )
        secret = outside.python(
            "-c", "from connectors.sharetribe.sandbox import Options; print(Options().client_secret.get_secret_value())"
        )
        self.secrets = {
            "ST_SECRET": secret.stdout.strip(),
            "ACORN_KEY": "sandbox-api-key",
            "ACORN_HOOK_SECRET": "sandbox-webhook-secret",
        }

    def trueup(self, *arguments: str) -> Any:
        """What a command says in JSON; it must succeed."""
        ended = self._outside.trueup(*arguments, "--json", "--config", str(self.config), **self.secrets)
        assert ended.returncode == 0, ended.stdout + ended.stderr
        return json.loads(ended.stdout)

    def migrate(self) -> None:
        made = self._outside.trueup("init", "--migrate-only", "--config", str(self.config), **self.secrets)
        assert made.returncode == 0, made.stderr

    def offer(self, stock: int) -> str:
        listings = {"listings": [{"title": "Mug", "stock": stock}]}
        answer = httpx.post(f"{self._sharetribe}/_control/listings", json=listings).raise_for_status()
        return str(answer.json()["listings"][0]["id"])

    def stock(self, listing_id: str) -> int:
        """What the marketplace has, by its own ledger."""
        shown = httpx.get(f"{self._sharetribe}/_control/listings/{listing_id}").raise_for_status().json()
        return sum(adjustment["quantity"] for adjustment in shown["adjustments"])

    def sell(self, units: int) -> str:
        order = {"items": [{"sku": "MUG", "quantity": units}]}
        return str(httpx.post(f"{self._acorn}/_control/orders", json=order).raise_for_status().json()["id"])

    def cancel(self, order_id: str) -> None:
        httpx.post(f"{self._acorn}/_control/orders/{order_id}", json={"status": "cancelled"}).raise_for_status()


@pytest.fixture
def vendors(outside: Outside, tmp_path: Path) -> Iterator[Vendors]:
    with ExitStack() as running:
        urls = []
        for name in ("sharetribe", "acorn"):
            process = running.enter_context(outside.serving("sandbox", name))
            assert process.stdout is not None
            urls.append(json.loads(process.stdout.readline())["url"])
        yield Vendors(outside, tmp_path, *urls)


def until(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + WITHIN_SECONDS
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.1)


def test_nothing_of_this_repository_is_on_the_path(outside: Outside) -> None:
    found = outside.python("-c", "import connectors, trueup_acorn; print(connectors.__file__, trueup_acorn.__file__)")
    assert all(path.startswith(str(outside.folder)) for path in found.stdout.split()), found


def test_it_is_listed_with_its_package_and_what_it_offers(outside: Outside) -> None:
    listed = outside.trueup("connectors", "--json")
    assert listed.returncode == 0, listed.stderr
    found = {row["name"]: row for row in json.loads(listed.stdout)["connectors"]}
    assert found["acorn"] == {
        "name": "acorn",
        "package": "trueup-acorn 0.1.0",
        "marketplace": False,
        "channel": True,
        "sandbox": True,
        "problem": "",
    }
    assert found["shopify"]["package"] == "trueup"


def test_the_template_of_a_new_one_is_in_the_package(outside: Outside, tmp_path: Path) -> None:
    ended = outside.trueup("connectors", "new", "zed", "--marketplace", "--channel", "--to", str(tmp_path), "--json")
    assert ended.returncode == 0, ended.stderr
    # Whatever pip compiled beside it is left where it is.
    assert {path.suffix for path in tmp_path.rglob("*.*")} == {".md", ".py", ".toml", ".typed"}
    assert len(json.loads(ended.stdout)["files"]) == 11


@pytest.fixture
def package(outside: Outside) -> Iterator[Path]:
    """The module of the installed connector that its entry point names: as it was, afterwards."""
    module = outside.site / "trueup_acorn" / "__init__.py"
    text = module.read_text()
    yield module
    module.write_text(text)


@pytest.mark.parametrize(
    ("sound", "unsound", "said"),
    [
        ("from connectors", "import nothing_of_that_name\nfrom connectors", "cannot be loaded: ModuleNotFoundError"),
        ("contract=1", "contract=2", "is written for version 2 of the contract and this trueup has version 1"),
    ],
)
def test_a_package_that_an_upgrade_has_broken_holds_up_nothing_else(
    outside: Outside, vendors: Vendors, package: Path, sound: str, unsound: str, said: str
) -> None:
    vendors.migrate()
    package.write_text(package.read_text().replace(sound, unsound, 1))
    listed = outside.trueup("connectors", "--json")
    problems = {row["name"]: row["problem"] for row in json.loads(listed.stdout)["connectors"] if row["problem"]}
    assert (listed.returncode, list(problems)) == (1, ["acorn"])
    assert f"(trueup_acorn:CONNECTOR) of trueup-acorn 0.1.0 {said}" in problems["acorn"]

    receiver = f"http://127.0.0.1:{vendors.port}"
    with outside.serving("run", "--config", str(vendors.config), **vendors.secrets):
        until(lambda: answers(f"{receiver}/healthz"), "trueup run receives")
        # Neither taken nor refused for good: the sender comes again.
        assert httpx.post(f"{receiver}/hooks/corner", content=b"{}").status_code == 503
        until(lambda: said in str(vendors.trueup("anomalies", "list")["anomalies"]), "an operator is told")


def test_its_sales_are_taken_by_polling_and_by_webhook(outside: Outside, vendors: Vendors) -> None:
    vendors.migrate()
    listing_id = vendors.offer(20)
    links = vendors.config.with_name("links.csv")
    links.write_text(f"channel,sku,listing_id\ncorner,MUG,{listing_id}\n")
    vendors.trueup("sweep")
    vendors.trueup("links", "import", str(links))

    vendors.sell(3)
    assert vendors.trueup("poll", "corner")["channels"] == [{"channel": "corner", "at_head": True, "error": None}]
    vendors.trueup("reconcile")
    assert vendors.stock(listing_id) == 17

    checks = vendors.trueup("doctor")["checks"]
    said = {check["name"]: check["detail"] for check in checks if check["subject"] == "corner"}
    assert said["access"] == "the orders of corner can be read"
    assert said["registrations"].startswith("3 topics to http://127.0.0.1:")
    with outside.serving("run", "--config", str(vendors.config), **vendors.secrets):
        until(lambda: answers(f"http://127.0.0.1:{vendors.port}/readyz"), "trueup run is ready to receive")
        # The next poll is a day away: what is taken now came by webhook.
        order_id = vendors.sell(5)
        until(lambda: vendors.stock(listing_id) == 12, "a sale told by webhook is taken")
        vendors.cancel(order_id)
        until(lambda: vendors.stock(listing_id) == 17, "a cancellation told by webhook gives back")
    assert vendors.trueup("status")["stock_is_true"] is True


def test_the_kit_passes_from_outside(outside: Outside, tmp_path: Path) -> None:
    project = tmp_path / "trueup-acorn"
    project.mkdir()
    shutil.copy(EXAMPLE / "pyproject.toml", project)
    shutil.copytree(EXAMPLE / "tests", project / "tests", ignore=shutil.ignore_patterns("__pycache__"))
    ended = outside.python("-m", "pytest", "-p", "no:cacheprovider", cwd=project)
    assert ended.returncode == 0, ended.stdout
    assert "TestAcorn" in outside.python("-m", "pytest", "--collect-only", "--quiet", cwd=project).stdout


def answers(url: str) -> bool:
    try:
        return httpx.get(url).status_code == 200
    except httpx.TransportError:
        return False
