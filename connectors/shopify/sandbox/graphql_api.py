"""Answering GraphQL documents: parse and validate once, price, pay, execute."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from graphql import (
    DocumentNode,
    FieldNode,
    GraphQLError,
    GraphQLInputObjectType,
    GraphQLObjectType,
    GraphQLSchema,
    OperationDefinitionNode,
    build_schema,
    execute_sync,
    get_operation_ast,
    get_variable_values,
    parse,
    validate,
)

from .cost import Bucket, Tariff
from .execution import QuickExecution
from .fields import Call
from .options import MAX_QUERY_COST
from .resolvers import attach

_KEPT_DOCUMENTS = 256

_LATER_FIELDS = {
    "2026-01": (("Refund", "processedAt"),),
    "2026-04": (("WebhookSubscription", "name"), ("WebhookSubscriptionInput", "name")),
}
"""Fields and the version they appeared in (changelog of the Admin API)."""

# graphql-core names no codes; these are what the vendor's validation says instead.
_VALIDATION_CODES = (
    ("Cannot query field", "undefinedField"),
    ("Unknown argument", "argumentNotAccepted"),
    ("is required, but it was not provided", "missingRequiredArguments"),
)


@cache
def schema_of(api_version: str) -> GraphQLSchema:
    """The schema one API version serves."""
    schema = build_schema(files(__package__).joinpath("schema.graphql").read_text())
    for since, fields in _LATER_FIELDS.items():
        for type_name, field_name in fields if api_version < since else ():
            holder = schema.type_map[type_name]
            if isinstance(holder, (GraphQLObjectType, GraphQLInputObjectType)):
                del holder.fields[field_name]
    attach(schema)
    return schema


@dataclass(frozen=True, slots=True)
class Prepared:
    """A document that was read before."""

    document: DocumentNode | None
    errors: list[dict[str, Any]]
    """What is wrong with it; empty when it can be executed."""
    root_field: str = "invalid"
    """The first field it asks for: what the call is, for counting and faults."""


class GraphQLApi:
    """One shop's GraphQL endpoint, without the HTTP around it."""

    def __init__(self) -> None:
        self._documents: OrderedDict[tuple[str, str], Prepared] = OrderedDict()

    def prepare(self, api_version: str, text: str) -> Prepared:
        """Parse and validate; the outcome is kept by version and text."""
        place = api_version, text
        known = self._documents.get(place)
        if known is not None:
            self._documents.move_to_end(place)
            return known
        prepared = _prepare(schema_of(api_version), text)
        self._documents[place] = prepared
        if len(self._documents) > _KEPT_DOCUMENTS:
            self._documents.popitem(last=False)
        return prepared

    def answer(
        self,
        prepared: Prepared,
        *,
        variables: Mapping[str, Any],
        operation_name: str | None,
        call: Call,
        bucket: Bucket,
    ) -> dict[str, Any]:
        """The body of the answer; always HTTP 200."""
        if prepared.document is None:
            return {"errors": prepared.errors}
        schema = schema_of(call.api_version)
        operation = get_operation_ast(prepared.document, operation_name)
        if operation is None:
            return {"errors": [{"message": f"No operation named {operation_name!r}"}]}
        values = get_variable_values(schema, operation.variable_definitions, dict(variables))
        if isinstance(values, list):
            return {"errors": [_variable_error(error) for error in values]}
        return self._paid(schema, prepared.document, operation, variables, values, call, bucket)

    def _paid(
        self,
        schema: GraphQLSchema,
        document: DocumentNode,
        operation: OperationDefinitionNode,
        variables: Mapping[str, Any],
        values: Mapping[str, Any],
        call: Call,
        bucket: Bucket,
    ) -> dict[str, Any]:
        tariff = Tariff(schema, document, call.shop.switches.connection_cost)
        requested = tariff.requested(operation, values)
        if requested > MAX_QUERY_COST:
            message = f"Query cost is {requested}, which exceeds the single query max cost limit ({MAX_QUERY_COST})."
            extensions = {"code": "MAX_COST_EXCEEDED", "cost": requested, "maxCost": MAX_QUERY_COST}
            return {"errors": [{"message": message, "extensions": extensions}], **_cost(requested, None, bucket)}
        if not bucket.covers(requested):
            return throttled(requested, bucket)
        result = execute_sync(
            schema,
            document,
            context_value=call,
            variable_values=dict(variables),
            operation_name=operation.name.value if operation.name else None,
            execution_context_class=QuickExecution,
            check_sync=False,
        )
        actual = min(requested, tariff.actual(operation, values, call.sizes))
        bucket.spend(actual)
        answer: dict[str, Any] = {"data": result.data, **_cost(requested, actual, bucket)}
        if call.searches:
            answer["extensions"]["search"] = call.searches
        if result.errors:
            answer["errors"] = [error.formatted for error in result.errors]
        return answer


def throttled(requested: int, bucket: Bucket) -> dict[str, Any]:
    """What a query gets that the bucket cannot pay; it is not executed."""
    errors = [{"message": "Throttled", "extensions": {"code": "THROTTLED"}}]
    return {"errors": errors, **_cost(requested, None, bucket)}


def _cost(requested: int, actual: int | None, bucket: Bucket) -> dict[str, Any]:
    cost = {"requestedQueryCost": requested, "actualQueryCost": actual, "throttleStatus": bucket.status()}
    return {"extensions": {"cost": cost}}


def _prepare(schema: GraphQLSchema, text: str) -> Prepared:
    try:
        document = parse(text)
    except GraphQLError as error:
        return Prepared(None, [dict(error.formatted)])
    errors = validate(schema, document)
    if errors:
        return Prepared(None, [_validation_error(error) for error in errors])
    return Prepared(document, [], _root_field(document))


def _root_field(document: DocumentNode) -> str:
    for definition in document.definitions:
        if isinstance(definition, OperationDefinitionNode):
            for selection in definition.selection_set.selections:
                if isinstance(selection, FieldNode):
                    return selection.name.value
    return "fragments"


def _validation_error(error: GraphQLError) -> dict[str, Any]:
    formatted: dict[str, Any] = dict(error.formatted)
    for words, code in _VALIDATION_CODES:
        if words in error.message:
            formatted["extensions"] = {"code": code}
    return formatted


def _variable_error(error: GraphQLError) -> dict[str, Any]:
    problem = {"path": [], "explanation": error.message}
    return {**error.formatted, "extensions": {"code": "INVALID_VARIABLE", "value": None, "problems": [problem]}}
