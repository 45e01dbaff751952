"""Shopify's own description of its Admin API, against the documents we send and the schema our sandbox serves.

The vendor publishes the introspection of every supported version within one of its packages, which is read and not run.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import tarfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from graphql import (
    GraphQLEnumType,
    GraphQLField,
    GraphQLInputField,
    GraphQLNamedType,
    GraphQLSchema,
    build_client_schema,
    build_schema,
    is_required_argument,
    parse,
    validate,
)

import connectors.shopify
from connectors.shopify import documents
from connectors.shopify.documents import Document, PageShape
from connectors.shopify.settings import ShopifySettings
from tests.official.clients import HERE, HOME
from tests.official.results import Result

DOCUMENTS = [
    *(found for found in vars(documents).values() if isinstance(found, Document)),
    PageShape.of(25).document,
]
SANDBOX = Path(connectors.shopify.__file__).parent / "sandbox" / "schema.graphql"
SERVED = ShopifySettings.model_fields["api_version"].default
"""The version we ask for unless told otherwise, and whose schema the sandbox serves."""
PACKAGE, INTEGRITY = (HERE / "shopify-schemas.txt").read_text(encoding="utf-8").split()
_MEMBERS = "package/dist/data/admin_20"


def check() -> Sequence[Result]:
    """Each document for each version the vendor supports, and the sandbox's schema for the version it serves."""
    archive = next(HOME.glob("*.tgz"))
    algorithm, _, digest = INTEGRITY.partition("-")
    if base64.b64encode(hashlib.new(algorithm, archive.read_bytes()).digest()).decode() != digest:
        return [
            Result("the archive is the one that is pinned", passed=False, detail=f"{archive.name} has another hash")
        ]
    schemas = dict(_schemas(archive))
    if SERVED not in schemas:
        return [
            Result(f"the vendor supports {SERVED}", passed=False, detail=f"it describes {', '.join(schemas) or 'none'}")
        ]
    return [result for version, schema in schemas.items() for result in _against(version, schema)]


def _schemas(archive: Path) -> Iterator[tuple[str, GraphQLSchema]]:
    with tarfile.open(archive) as members:
        for name in sorted(name for name in members.getnames() if name.startswith(_MEMBERS)):
            packed = members.extractfile(name)
            assert packed is not None
            yield (
                name.removeprefix(_MEMBERS[:-2])[:7],
                build_client_schema(json.loads(gzip.decompress(packed.read()))["data"]),
            )


def _against(version: str, vendor: GraphQLSchema) -> Iterator[Result]:
    for document in DOCUMENTS:
        errors = [error.message for error in validate(vendor, parse(document.text))]
        yield Result(f"{version}: {document.name} is valid", not errors, "; ".join(errors))
    if version != SERVED:
        return
    strange = list(_strange(build_schema(SANDBOX.read_text(encoding="utf-8")), vendor))
    yield Result(f"{version}: the sandbox's schema is a part of it", not strange, "; ".join(strange))


def _strange(ours: GraphQLSchema, vendor: GraphQLSchema) -> Iterator[str]:
    """What our schema has and the vendor's has not, or has otherwise."""
    for name, kind in ours.type_map.items():
        if name.startswith("__"):
            continue
        theirs = vendor.type_map.get(name)
        if type(theirs) is not type(kind):
            yield name
        elif isinstance(kind, GraphQLEnumType) and isinstance(theirs, GraphQLEnumType):
            yield from (f"{name}.{value}" for value in kind.values.keys() - theirs.values.keys())
        else:
            known = _fields(theirs)
            for field, own in _fields(kind).items():
                if not _agree(own, known.get(field)):
                    yield f"{name}.{field}"


def _fields(kind: GraphQLNamedType | None) -> dict[str, GraphQLField | GraphQLInputField]:
    found: dict[str, GraphQLField | GraphQLInputField] = getattr(kind, "fields", {})
    return found


def _agree(ours: GraphQLField | GraphQLInputField, theirs: GraphQLField | GraphQLInputField | None) -> bool:
    """Of one type, with arguments the vendor knows, and with every argument it needs."""
    if theirs is None or str(ours.type) != str(theirs.type):
        return False
    if not isinstance(ours, GraphQLField) or not isinstance(theirs, GraphQLField):
        return True
    known = {name: str(argument.type) for name, argument in theirs.args.items()}
    needed = {name for name, argument in theirs.args.items() if is_required_argument(argument)}
    return needed <= ours.args.keys() and all(
        known.get(name) == str(argument.type) for name, argument in ours.args.items()
    )
