"""What is not as a vendor's description has it is told, whichever side it is on."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from connectors.errors import Unreadable
from tests.official.clients import ROOT
from tests.official.openapi.asked import Tried, _all_told
from tests.official.openapi.corrections import CORRECTIONS, Correction, add, corrected, extend, put
from tests.official.openapi.description import Description
from tests.official.openapi.files import FILES, MissingError, lacking, read
from tests.official.openapi.vendor import Mock, answers, sample, sampled

HOST = "https://vendor.example"
CUP: dict[str, Any] = {
    "type": "object",
    "required": ["size"],
    "properties": {
        "size": {"type": "integer", "example": 3, "minimum": 1},
        "colour": {"type": "string", "examples": ["blue"]},
        "notes": {"type": "object"},
    },
}
DOCUMENT: dict[str, Any] = {
    "openapi": "3.1.0",
    "info": {"title": "Cups", "version": "1"},
    "servers": [{"url": f"{HOST}/v1"}],
    "security": [{"bearerAuth": []}],
    "paths": {
        "/cups/{id}": {
            "parameters": [{"name": "id", "in": "path", "required": True, "schema": {"type": "string"}}],
            "get": {
                "operationId": "showCup",
                "parameters": [{"name": "page[limit]", "in": "query", "schema": {"type": "integer"}}],
                "responses": {
                    "200": {
                        "description": "A cup.",
                        "content": {
                            "application/json": {
                                "schema": {"$ref": "#/components/schemas/Cup"},
                                "examples": {"written": {"value": '{"size": 9}'}},
                            }
                        },
                    },
                    "404": {"description": "No such cup."},
                },
            },
            "put": {
                "operationId": "setCup",
                "requestBody": {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/Cup"}}}},
                "responses": {"204": {"description": "Done."}},
            },
        }
    },
    "components": {
        "schemas": {"Cup": CUP},
        "securitySchemes": {"bearerAuth": {"type": "http", "scheme": "bearer"}},
    },
}
HEAD = {"authorization": "Bearer token"}


@pytest.fixture(scope="module")
def cups() -> Description:
    return Description(DOCUMENT)


def asked(method: str = "GET", path: str = "/v1/cups/7", **more: Any) -> httpx.Request:
    return httpx.Request(method, HOST + path, **{"headers": HEAD, **more})


def test_what_is_asked_as_described(cups: Description) -> None:
    assert cups.against_request(asked(params={"page[limit]": 5})) == []
    assert cups.against_request(asked("PUT", json={"size": 2, "notes": {"any": "thing"}})) == []


@pytest.mark.parametrize(
    ("request_", "told"),
    [
        (asked(path="/v1/plates/7"), "no operation"),
        (asked("DELETE"), "no operation"),
        (asked(params={"sort": "size"}), "the query parameter sort is not described"),
        (asked(params={"page[limit]": "many"}), "page[limit]"),
        (asked(headers={}), "Security"),
        (asked("PUT", json={}), "'size' is a required property"),
        (asked("PUT", json={"size": 0}), "size: 0 is less than"),
        (asked("PUT", json={"size": 2, "handle": True}), "'handle' was unexpected"),
    ],
)
def test_what_is_asked_otherwise_is_told(cups: Description, request_: httpx.Request, told: str) -> None:
    assert told in "; ".join(cups.against_request(request_))


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (httpx.Response(200, json={"size": 2, "colour": "red", "notes": {"any": "thing"}}), ""),
        (httpx.Response(404), ""),
        (httpx.Response(200, json={"size": "2"}), "size: '2' is not of type 'integer'"),
        (httpx.Response(200, json={"size": 2, "handle": True}), "'handle' was unexpected"),
        (httpx.Response(200, text="a cup"), "mimetype"),
        (httpx.Response(418), "418"),
    ],
)
def test_what_is_answered_otherwise_is_told(cups: Description, answer: httpx.Response, told: str) -> None:
    found = "; ".join(cups.against_answer(asked(), answer))
    assert told in found
    assert bool(told) == bool(found)


def test_answers_are_made_of_what_is_described(cups: Description) -> None:
    operation = cups.operation(asked())
    assert operation is not None
    assert operation.path == {"id": "7"}
    whole = {"size": 3, "colour": "blue", "notes": {}}
    assert sampled(operation) == (200, whole)
    assert list(answers(operation)) == [(200, {"size": 3}), (200, whole), (200, {"size": 9}), (404, None)]


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        ({"type": "string", "example": 17}, "10000000-0000-4000-8000-000000000001"),
        ({"type": ["string", "null"], "examples": ["a"]}, "a"),
        ({"enum": ["live", "draft"]}, "live"),
        ({"type": "integer", "minimum": 4}, 4),
        (
            {"allOf": [CUP, {"properties": {"lid": {"type": "boolean"}}}]},
            {"size": 3, "colour": "blue", "notes": {}, "lid": True},
        ),
        ({"oneOf": [{"type": "number"}, {"type": "string"}]}, 1),
        ({"type": "object", "additionalProperties": {"type": "integer"}}, {"york": 1}),
        ({"type": "array", "items": {"type": "string", "format": "date-time"}}, ["2026-01-01T10:00:00.000Z"]),
    ],
)
def test_a_sample_shows_everything(schema: dict[str, Any], expected: Any) -> None:
    assert sample(schema) == expected


def test_the_vendors_stand_in_notes_what_is_asked_wrongly(cups: Description) -> None:
    mock = Mock({"basic": cups}, lambda _, operation: sampled(operation))
    with httpx.Client(transport=mock, base_url=HOST) as client:
        assert client.get("/v1/cups/7", headers=HEAD).json()["size"] == 3
        assert mock.troubles == []
        client.get("/v1/cups/7?sort=size", headers=HEAD)
    assert list(mock.asked) == ["basic/showCup"]
    assert mock.troubles == ["GET /v1/cups/7: the query parameter sort is not described"]


def test_a_named_error_is_fine_and_any_other_is_not() -> None:
    mock = Mock({}, lambda _, __: (200, None))
    value, named, crash = (Tried(each, mock) for each in (7, Unreadable("no"), KeyError("size")))
    assert _all_told("it", [value, named]).passed
    assert _all_told("it", [value, crash]).detail == "KeyError('size')"
    assert not _all_told("it", []).passed


def test_corrections() -> None:
    document = copy.deepcopy(DOCUMENT)
    put("components.schemas.Cup.properties.size.type", "number")(document)
    add("components.schemas.Cup.properties", lid={"type": "boolean"})(document)
    extend("paths./cups/{id}.put.parameters", {"name": "soft"})(document)
    assert document["components"]["schemas"]["Cup"]["properties"].keys() == {"size", "colour", "notes", "lid"}
    assert document["components"]["schemas"]["Cup"]["properties"]["size"]["type"] == "number"
    assert document["paths"]["/cups/{id}"]["put"]["parameters"] == [{"name": "soft"}]


def test_a_correction_that_is_needed_no_more_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    needless = Correction("cups", "cups have a size", put("openapi", "3.1.0"))
    monkeypatch.setattr("tests.official.openapi.corrections.CORRECTIONS", [needless])
    with pytest.raises(ValueError, match="cups have a size"):
        corrected("cups", json.dumps(DOCUMENT).encode())


def test_the_page_gives_every_correction_with_its_reason() -> None:
    page = " ".join((ROOT / "docs" / "conformance.md").read_text(encoding="utf-8").split())
    for correction in CORRECTIONS:
        assert correction.reason in page, f"{correction.file}: {correction.reason}"


def test_another_file_is_not_taken(tmp_path: Path) -> None:
    assert "cannot be read" in str(lacking(tmp_path))
    for file in FILES.values():
        (tmp_path / file.name).write_text("openapi: 3.1.0")
    with pytest.raises(MissingError, match="it has another hash"):
        read(tmp_path)
