"""Elastic Path's descriptions of its API: which files, and where they are had. None is a part of this repository.

No package of a registry holds them, only two public repositories of the vendor.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import httpx

from tests.official.clients import ROOT

KEPT = ROOT / ".venv" / "openapi"
SECONDS = 10


@dataclass(frozen=True, slots=True)
class Source:
    """One commit of a repository of the vendor's."""

    repository: str
    commit: str


@dataclass(frozen=True, slots=True)
class File:
    """One description."""

    source: Source
    path: str
    sha256: str

    @property
    def name(self) -> str:
        """Its name in a folder that holds them all."""
        return self.path.rpartition("/")[2]

    @property
    def address(self) -> str:
        """Where the vendor publishes it."""
        return f"https://raw.githubusercontent.com/{self.source.repository}/{self.source.commit}/{self.path}"


CURRENT = Source("elasticpath/composable-frontend", "8bb8d40c5b46f0a04d8b9e2d49cb3f168ac5ae2e")
DOCUMENTATION = Source("elasticpath/elasticpath-dev", "33ab00fe67e95e70872fa68329919548a33c152d")
SOURCES = (CURRENT, DOCUMENTATION)
_SPECS = "packages/sdks/specs"

FILES: Mapping[str, File] = {
    "token": File(
        CURRENT, f"{_SPECS}/authentication.yaml", "d1d7331b840e73bd661adc1dcdb743d79330a0ad88827c2d39fc90cee8d9b893"
    ),
    "products": File(CURRENT, f"{_SPECS}/pim.yaml", "e2e140c1d5849c1f0bedaa14fafb834971b516218d59b7c4b72fc1088d158c62"),
    "basic": File(
        DOCUMENTATION,
        "openapispecs/inventory/public_openapi.yaml",
        "8c1fa4cbcc44a279aaa2350ef9c3a80c02b81505befd573df806d2bd7a1be36a",
    ),
    "multi_location": File(
        CURRENT, f"{_SPECS}/inventories.yaml", "6d73cab426e51824099691b0d387afd2534c1d60ccf7f9e8d4cc19872bba7ca8"
    ),
    "orders": File(
        CURRENT, f"{_SPECS}/cart_checkout.yaml", "633e84cec385beee5ed68dbca50f5541629afd702ca9e2675c01b99c97d5194a"
    ),
    "integrations": File(
        CURRENT, f"{_SPECS}/integrations.yaml", "85c7edfce53f37f1e21e1f6ef64402bd03797db8e986eae807de9b362179fb74"
    ),
}
"""By what they describe."""


class MissingError(Exception):
    """A file cannot be had, or is another one."""


def lacking(folder: Path | None) -> str | None:
    """Why the files cannot be had, or None."""
    try:
        read(folder)
    except MissingError as error:
        return str(error)
    return None


def read(folder: Path | None) -> dict[str, bytes]:
    """Every file, by what it describes: of `folder`, else of an earlier run, else of the vendor.

    Raises `MissingError`.
    """
    return {name: _checked(file, _of(file, folder)) for name, file in FILES.items()}


def _of(file: File, folder: Path | None) -> bytes:
    place = (folder or KEPT) / file.name
    if folder is not None or place.is_file():
        try:
            return place.read_bytes()
        except OSError as error:
            raise MissingError(f"{place} cannot be read: {error.strerror}") from error
    try:
        answer = httpx.get(file.address, timeout=SECONDS).raise_for_status()
    except httpx.HTTPError as error:
        raise MissingError(
            f"{file.path} of {file.source.repository} cannot be fetched ({type(error).__name__}). Give a folder that"
            f" holds {', '.join(each.name for each in FILES.values())}: --specs DIR"
        ) from error
    content = _checked(file, answer.content)
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(content)
    return content


def _checked(file: File, content: bytes) -> bytes:
    if hashlib.sha256(content).hexdigest() != file.sha256:
        source = f"{file.source.repository} at {file.source.commit[:12]}"
        raise MissingError(f"{file.name} is not the one of {source}: it has another hash")
    return content
