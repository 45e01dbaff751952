"""Executing documents quickly: graphql-core, spared its work on what is already prepared.

The library spends some ten microseconds on each field, whatever it is; a page of orders has thousands. Nodes here are
plain dicts whose values are final, so a field without arguments and without a resolver of its own is copied.
Everything else goes the library's way.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from graphql import (
    ExecutionContext,
    FieldNode,
    GraphQLList,
    GraphQLObjectType,
    GraphQLResolveInfo,
    get_named_type,
    get_nullable_type,
    is_leaf_type,
)
from graphql.pyutils import Path

Sizes = dict[int, int]
"""How much was really there: the id of a field's syntax node to the longest list, or 1 for an object, found for it."""


class _Step(NamedTuple):
    key: str
    name: str
    nodes: list[FieldNode]
    resolved: bool
    """Whether the library has to find the value: the field has arguments or a resolver."""
    inner: GraphQLObjectType | None
    """The type of a prepared object, or of those in a prepared list; None for plain values."""
    is_list: bool


class QuickExecution(ExecutionContext):
    """Copies prepared values and resolves the rest. `context_value.sizes` takes in what was found, for the cost."""

    def __init__(self, *arguments: Any, **more: Any) -> None:
        super().__init__(*arguments, **more)
        self._steps_cache: dict[tuple[object, ...], list[_Step]] = {}
        self._sizes: Sizes = self.context_value.sizes

    def complete_object_value(
        self,
        return_type: GraphQLObjectType,
        field_nodes: list[FieldNode],
        info: GraphQLResolveInfo | None,
        path: Path,
        result: Any,
    ) -> dict[str, Any]:
        """Complete an object from a prepared dict, with everything below that is prepared too."""
        completed: dict[str, Any] = {}
        type_name = return_type.name
        for key, name, nodes, resolved, inner, is_list in self._steps(return_type, field_nodes):
            if resolved:
                completed[key] = self.execute_field(return_type, result, nodes, Path(path, key, type_name))
                continue
            value = type_name if name == "__typename" else result[name]
            if inner is not None and value is not None:
                here = Path(path, key, type_name)
                if is_list:
                    self._note(nodes, len(value))
                    value = [
                        self.complete_object_value(inner, nodes, None, Path(here, number, None), item)
                        for number, item in enumerate(value)
                    ]
                else:
                    self._note(nodes, 1)
                    value = self.complete_object_value(inner, nodes, None, here, value)
            completed[key] = value
        return completed

    def execute_field(
        self, parent_type: GraphQLObjectType, source: Any, field_nodes: list[FieldNode], path: Path
    ) -> Any:
        """Resolve and complete a field the library's way, and note how much was found."""
        value = super().execute_field(parent_type, source, field_nodes, path)
        if value is not None:
            self._note(field_nodes, len(value) if isinstance(value, list) else 1)
        return value

    def _note(self, field_nodes: list[FieldNode], size: int) -> None:
        for node in field_nodes:
            if self._sizes.get(id(node), -1) < size:
                self._sizes[id(node)] = size

    def _steps(self, return_type: GraphQLObjectType, field_nodes: list[FieldNode]) -> list[_Step]:
        place = return_type, *map(id, field_nodes)
        steps = self._steps_cache.get(place)
        if steps is None:
            collected = self.collect_subfields(return_type, field_nodes)
            steps = self._steps_cache[place] = [_step(return_type, key, nodes) for key, nodes in collected.items()]
        return steps


def _step(parent: GraphQLObjectType, key: str, nodes: list[FieldNode]) -> _Step:
    name = nodes[0].name.value
    if name == "__typename":
        return _Step(key, name, nodes, resolved=False, inner=None, is_list=False)
    definition = parent.fields[name]
    nullable = get_nullable_type(definition.type)
    named = get_named_type(definition.type)
    inner = named if isinstance(named, GraphQLObjectType) else None
    return _Step(
        key,
        name,
        nodes,
        resolved=definition.resolve is not None or bool(definition.args) or not (inner or is_leaf_type(named)),
        inner=inner,
        is_list=isinstance(nullable, GraphQLList),
    )
