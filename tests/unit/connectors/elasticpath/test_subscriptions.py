"""Integrations: found, judged, made and set right."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from connectors.elasticpath import ElasticPathChannel
from connectors.elasticpath.subscriptions import EVENTS, Subscriptions
from connectors.errors import OutcomeUnknown, Rejected, Unauthorized, Unreadable
from tests.unit.connectors.elasticpath.vendor import HOOK_SECRET, HTML, Vendor, channel_settings, error, page, sent

LIST = ("GET", "v2/integrations")
ADDRESS = "https://trueup.example/hooks/abc"


def integration(url: str = ADDRESS, secret: str | None = HOOK_SECRET, **changes: Any) -> dict[str, Any]:
    configuration = {"url": url} if secret is None else {"url": url, "secret_key": secret}
    return {
        "id": "i-1",
        "type": "integration",
        "name": "trueup",
        "enabled": True,
        "observes": list(EVENTS),
        "integration_type": "webhook",
        "configuration": configuration,
        **changes,
    }


@pytest.mark.parametrize(
    ("listed", "problems"),
    [
        ([], {"not registered"}),
        ([integration("https://elsewhere.example")], {"not registered"}),
        ([integration(integration_type="aws_sqs")], {"not registered"}),
        ([integration(enabled=False)], {"disabled"}),
        ([integration(secret="another")], {"sends another secret than this channel's first"}),
        ([integration(observes=["order.paid"])], {"", "not registered"}),
        ([integration(secret=None)], {""}),
        ([integration()], {""}),
        ([integration(enabled=False), integration(id="i-2")], {""}),
    ],
)
def test_what_is_wrong_with_a_registration(
    vendor: Vendor, channel: ElasticPathChannel, listed: list[Any], problems: set[str]
) -> None:
    vendor.on(*LIST).respond(json=page(listed))
    found = channel.subscriptions(ADDRESS)
    assert [each.topic for each in found] == list(EVENTS)
    assert {each.problem for each in found} == problems
    assert {each.address for each in found} == {ADDRESS}


def test_it_is_made_where_there_is_none(vendor: Vendor, channel: ElasticPathChannel) -> None:
    vendor.answers(*LIST, page([]), page([integration()]))
    made = vendor.on("POST", "v2/integrations").mock(return_value=httpx.Response(201, json={"data": integration()}))
    assert {each.problem for each in channel.subscribe(ADDRESS)} == {""}
    data = sent(made)["data"]
    assert data["configuration"] == {"url": ADDRESS, "secret_key": HOOK_SECRET}
    assert (data["enabled"], data["observes"], data["integration_type"]) == (True, list(EVENTS), "webhook")
    assert len(data["observes"]) <= 5


@pytest.mark.parametrize(
    "broken", [{"enabled": False}, {"observes": ["order.paid"]}, {"secret": "x"}, {"secret": None}]
)
def test_it_is_set_right_in_its_place(vendor: Vendor, channel: ElasticPathChannel, broken: dict[str, Any]) -> None:
    vendor.answers(*LIST, page([integration(**broken)]), page([integration()]))
    put = vendor.answers("PUT", "v2/integrations/i-1", {"data": integration()})
    assert {each.problem for each in channel.subscribe(ADDRESS)} == {""}
    assert sent(put)["data"]["configuration"]["secret_key"] == HOOK_SECRET


def test_what_is_sound_is_left_alone(vendor: Vendor, channel: ElasticPathChannel) -> None:
    vendor.on(*LIST).respond(json=page([integration()]))
    assert {each.problem for each in channel.subscribe(ADDRESS)} == {""}
    assert channel.calls == 3


def test_a_refused_registration_says_why(vendor: Vendor, channel: ElasticPathChannel) -> None:
    vendor.on(*LIST).respond(json=page([]))
    limit = "You have reached the integration event limit of 5"
    vendor.on("POST", "v2/integrations").mock(return_value=error(422, "Unprocessable", limit))
    (problem,) = {each.problem for each in channel.subscribe(ADDRESS)}
    assert problem.startswith("not registered: ")
    assert limit in problem


def test_trouble_is_passed_on(vendor: Vendor, channel: ElasticPathChannel) -> None:
    listed = vendor.on(*LIST)
    listed.mock(return_value=error(403, "Forbidden"))
    with pytest.raises(Unauthorized):
        channel.subscriptions(ADDRESS)
    listed.mock(return_value=httpx.Response(200, json=page([])))
    vendor.on("POST", "v2/integrations").respond(502, text=HTML)
    with pytest.raises(OutcomeUnknown):
        channel.subscribe(ADDRESS)
    listed.mock(return_value=httpx.Response(200, json={"data": [{"configuration": {"secret_key": HOOK_SECRET}}]}))
    with pytest.raises(Unreadable) as caught:
        channel.subscriptions(ADDRESS)
    assert HOOK_SECRET not in str(caught.value)


def test_a_channel_without_a_secret_registers_nothing(vendor: Vendor, channel: ElasticPathChannel) -> None:
    bare = Subscriptions(channel._client, channel_settings(webhook_secrets=[]))
    with pytest.raises(Rejected, match="webhook_secrets is not set"):
        bare.register(ADDRESS)
    assert channel.calls == 0


def test_a_long_list_is_read_to_its_end(vendor: Vendor, channel: ElasticPathChannel) -> None:
    others = [integration("https://elsewhere.example", id=f"o-{number}") for number in range(100)]
    listed = vendor.answers(*LIST, page(others), page([integration()]))
    assert {each.problem for each in channel.subscriptions(ADDRESS)} == {""}
    assert listed.calls[1].request.url.params["page[offset]"] == "100"
