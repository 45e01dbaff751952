"""What a query costs, and the leaky bucket it is paid from.

The documented part (docs, "Shopify API limits"): a scalar 0, an object 1, an interface its dearest branch, a mutation
10, a connection by its `first`, at most 1000 points for one query. The rest is measured on answers of real shops: a
connection costs 2 and `max(1, floor(2 ln first))` times one item, through all levels; a plain list counts like one
object; what a mutation returns directly, page information and edges are free. A switch makes connections cost `first`
times an item instead, which is how older texts read.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, Literal

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLCompositeType,
    GraphQLNamedType,
    GraphQLSchema,
    InlineFragmentNode,
    IntValueNode,
    NamedTypeNode,
    OperationDefinitionNode,
    OperationType,
    SelectionSetNode,
    VariableNode,
    get_named_type,
    is_abstract_type,
    is_composite_type,
    is_leaf_type,
)

from connectors.clock import Clock

from .execution import Sizes

MUTATION_POINTS = 10
CONNECTION_POINTS = 2
_FREE = frozenset({"PageInfo"})


class Tariff:
    """Prices the operations of one document."""

    def __init__(self, schema: GraphQLSchema, document: DocumentNode, growth: Literal["logarithmic", "linear"]) -> None:
        self._schema = schema
        self._grow: Callable[[int], int] = _logarithmic if growth == "logarithmic" else _linear
        self._fragments = {
            definition.name.value: definition
            for definition in document.definitions
            if isinstance(definition, FragmentDefinitionNode)
        }

    def requested(self, operation: OperationDefinitionNode, variables: Mapping[str, Any]) -> int:
        """The price before execution, from what is asked for."""
        return self._operation(operation, variables, None)

    def actual(self, operation: OperationDefinitionNode, variables: Mapping[str, Any], sizes: Sizes) -> int:
        """The price after execution, from what was really there."""
        return self._operation(operation, variables, sizes)

    def _operation(self, operation: OperationDefinitionNode, variables: Mapping[str, Any], sizes: Sizes | None) -> int:
        root = self._schema.get_root_type(operation.operation)
        if root is None:
            return 0
        pricing = _Pricing(self._schema, self._fragments, self._grow, variables, sizes)
        if operation.operation is OperationType.MUTATION:
            return pricing.mutations(operation.selection_set, root)
        return max(1, pricing.selections(operation.selection_set, root))


class _Pricing:
    def __init__(
        self,
        schema: GraphQLSchema,
        fragments: Mapping[str, FragmentDefinitionNode],
        grow: Callable[[int], int],
        variables: Mapping[str, Any],
        sizes: Sizes | None,
    ) -> None:
        self._schema = schema
        self._fragments = fragments
        self._grow = grow
        self._variables = variables
        self._sizes = sizes

    def mutations(self, selections: SelectionSetNode, root: GraphQLCompositeType) -> int:
        """Each mutation at its flat price, and what lies below the objects it returns."""
        total = 0
        for field, payload in self._fields(selections, root):
            total += MUTATION_POINTS
            for returned, inner in self._fields(field.selection_set, payload):
                total += self.selections(returned.selection_set, inner)
        return total

    def selections(self, selections: SelectionSetNode | None, parent: GraphQLNamedType) -> int:
        """What is selected of one object, without the object itself."""
        if selections is None or not is_composite_type(parent):
            return 0
        direct = sum(self._field(field, inner) for field, inner in self._fields(selections, parent, fragments=False))
        branches = (self._branch(node, parent) for node in selections.selections)
        points = [self.selections(*branch) for branch in branches if branch]
        return direct + (max(points, default=0) if is_abstract_type(parent) else sum(points))

    def _field(self, field: FieldNode, inner: GraphQLNamedType) -> int:
        if inner.name.endswith("Connection"):
            return CONNECTION_POINTS + self._items(field, inner)
        if self._sizes is not None and not self._sizes.get(id(field)):
            # Nothing was there: looking cost a point, what would have been inside cost none.
            return 0 if inner.name in _FREE else 1
        return (inner.name not in _FREE) + self.selections(field.selection_set, inner)

    def _items(self, field: FieldNode, connection: GraphQLNamedType) -> int:
        item = size = 0
        for part, inner in self._fields(field.selection_set, connection):
            if part.name.value == "edges":
                points = sum(
                    1 + self.selections(node.selection_set, node_type)
                    for node, node_type in self._fields(part.selection_set, inner)
                )
            elif part.name.value == "nodes":
                points = 1 + self.selections(part.selection_set, inner)
            else:
                continue
            item = max(item, points)
            size = max(size, self._first(field) if self._sizes is None else self._sizes.get(id(part), 0))
        return self._grow(size) * item

    def _first(self, field: FieldNode) -> int:
        for argument in field.arguments:
            if argument.name.value == "first":
                if isinstance(argument.value, VariableNode):
                    return int(self._variables.get(argument.value.name.value) or 0)
                if isinstance(argument.value, IntValueNode):
                    return int(argument.value.value)
        return 0

    def _fields(
        self, selections: SelectionSetNode | None, parent: GraphQLNamedType, *, fragments: bool = True
    ) -> list[tuple[FieldNode, GraphQLNamedType]]:
        """The fields that lead to objects, with their types; those inside fragments too, unless told otherwise."""
        found: list[tuple[FieldNode, GraphQLNamedType]] = []
        for node in selections.selections if selections else ():
            if isinstance(node, FieldNode):
                definition = getattr(parent, "fields", {}).get(node.name.value)
                inner = get_named_type(definition.type) if definition else None
                if inner is not None and not is_leaf_type(inner):
                    found.append((node, inner))
            elif fragments and (branch := self._branch(node, parent)):
                found += self._fields(*branch)
        return found

    def _branch(self, node: object, parent: GraphQLNamedType) -> tuple[SelectionSetNode, GraphQLNamedType] | None:
        if isinstance(node, FragmentSpreadNode):
            fragment = self._fragments[node.name.value]
            condition: NamedTypeNode | None = fragment.type_condition
            selections = fragment.selection_set
        elif isinstance(node, InlineFragmentNode):
            condition, selections = node.type_condition, node.selection_set
        else:
            return None
        return selections, (parent if condition is None else self._schema.type_map[condition.name.value])


def _logarithmic(size: int) -> int:
    return 0 if size <= 0 else max(1, math.floor(2 * math.log(size)))


def _linear(size: int) -> int:
    return max(0, size)


class Bucket:
    """Points one application has on one shop. They come back at a steady rate."""

    def __init__(self, clock: Clock, *, maximum: float, restore_per_second: float) -> None:
        self._clock = clock
        self.maximum = maximum
        self.restore_per_second = restore_per_second
        self._level = maximum
        self._read_at = clock.monotonic()

    @property
    def available(self) -> float:
        now = self._clock.monotonic()
        self._level = min(self.maximum, self._level + (now - self._read_at) * self.restore_per_second)
        self._read_at = now
        return self._level

    def covers(self, points: float) -> bool:
        """Whether a query of this requested cost may run now."""
        return self.available >= points

    def spend(self, points: float) -> None:
        """Take what a query really cost."""
        self._level = self.available - points

    def empty(self) -> None:
        """As after a burst of other queries of the same application."""
        self._level = self.available * 0

    def status(self) -> dict[str, float]:
        """`throttleStatus`, as every answer carries it."""
        return {
            "maximumAvailable": self.maximum,
            "currentlyAvailable": math.floor(self.available),
            "restoreRate": self.restore_per_second,
        }
