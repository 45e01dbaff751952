"""`/v2/integrations`."""

from __future__ import annotations

from typing import Any

from .call import Call, Endpoint, Reply
from .integrations import Integration
from .query import paged


def list_integrations(call: Call) -> Reply:
    """`GET /v2/integrations`"""
    shown = list(call.integrations.all.values())
    listed = call.store.switches.secret_listed
    length = call.store.options.page_length
    return Reply(200, paged(shown, call.query, lambda each: _render(each, secret=listed), length=length))


def create_integration(call: Call) -> Reply:
    """`POST /v2/integrations`"""
    made = call.integrations.create(call.data)
    return Reply(call.store.switches.integration_created, {"data": _render(made, secret=True)}, "applied")


def show_integration(call: Call) -> Reply:
    """`GET /v2/integrations/{integration_id}`"""
    return Reply(200, {"data": _render(call.integrations.get(call.path["integration_id"]), secret=True)})


def update_integration(call: Call) -> Reply:
    """`PUT /v2/integrations/{integration_id}`"""
    changed = call.integrations.update(call.path["integration_id"], call.data)
    return Reply(200, {"data": _render(changed, secret=True)}, "applied")


def delete_integration(call: Call) -> Reply:
    """`DELETE /v2/integrations/{integration_id}`"""
    gone = call.integrations.get(call.path["integration_id"])
    del call.integrations.all[gone.integration_id]
    return Reply(200, {"data": {"type": "integration", "id": gone.integration_id}}, "applied")


def list_logs(call: Call) -> Reply:
    """`GET /v2/integrations/logs` and `GET /v2/integrations/{integration_id}/logs`"""
    wanted = call.path.get("integration_id")
    logs = [
        log for each in call.integrations.all.values() if wanted in (None, each.integration_id) for log in each.logs
    ]
    page = paged(logs, call.query, lambda log: log, length=call.store.options.page_length)
    # A list of a shape of its own.
    return Reply(200, {"data": page["data"], "meta": page["meta"]["page"], "results": page["meta"]["results"]})


def _render(integration: Integration, *, secret: bool) -> dict[str, Any]:
    configuration = {"url": integration.url, **({"secret_key": integration.secret} if secret else {})}
    return {
        "id": integration.integration_id,
        "type": "integration",
        "name": integration.name,
        "description": integration.description,
        "enabled": integration.enabled,
        "observes": integration.observes,
        "integration_type": "webhook",
        "configuration": configuration,
    }


ENDPOINTS: dict[tuple[str, str], tuple[str, Endpoint]] = {
    ("GET", "/v2/integrations"): ("integrations/list", list_integrations),
    ("POST", "/v2/integrations"): ("integrations/create", create_integration),
    ("GET", "/v2/integrations/logs"): ("integrations/logs", list_logs),
    ("GET", "/v2/integrations/{integration_id}"): ("integrations/show", show_integration),
    ("PUT", "/v2/integrations/{integration_id}"): ("integrations/update", update_integration),
    ("DELETE", "/v2/integrations/{integration_id}"): ("integrations/delete", delete_integration),
    ("GET", "/v2/integrations/{integration_id}/logs"): ("integrations/logs", list_logs),
}
