"""The page about the settings, made from the settings: `python -m config.reference > docs/settings.md`."""

from __future__ import annotations

import sys
from collections.abc import Iterator

from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo

from config.alerts import DestinationSettings
from config.settings import ChannelSettings, MarketplaceSettings, Settings
from connectors.registry import connector

OURS = ("elasticpath", "marketplacer", "sharetribe", "shopify", "standard", "woocommerce")
"""The connectors that come along; another package's settings are its own to describe."""

HEAD = """# Settings

Made from the settings themselves by `python -m config.reference`. [trueup.example.toml](../config/trueup.example.toml)
shows the same as a file to begin with; `trueup init` writes one, `trueup doctor` tries what it says, and the console's
page of settings shows what is in force.

Any value can be given by a variable instead: `TRUEUP_` and the key in capitals, tables parted by two underscores, such
as `TRUEUP_DATABASE__URL`. A *secret* is never written into the file: its value there is `env:NAME` or `file:PATH`, and
says where it is read from. Unknown keys are refused.
"""


def markdown() -> str:
    """The whole page."""
    parts = [HEAD]
    for name, field in Settings.model_fields.items():
        if isinstance(field.default, BaseModel):
            parts.append(_table(f"[{name}]", type(field.default)))
        elif name == "marketplace":
            parts.append(_table("[marketplace]", MarketplaceSettings, after="and the keys of its connector, below"))
        elif name == "channels":
            parts.append(_table("[channels.NAME]", ChannelSettings, after="and the keys of its connector, below"))
        if name == "alerts":
            parts.append(_table("[alerts.destinations.NAME]", DestinationSettings))
    parts.append("\n# Of each connector\n")
    for name in OURS:
        found = connector(name)
        for room, model in (("marketplace", found.marketplace_settings), ("channels.NAME", found.channel_settings)):
            if model is not None:
                parts.append(_table(f'[{room}] with connector = "{name}"', model))
    return "".join(parts)


def _table(title: str, section: type[BaseModel], *, after: str = "") -> str:
    says = " ".join((section.__doc__ or "").partition("\n\n")[0].split())
    rows = "".join(_rows(section))
    more = f"\n… {after}.\n" if after else ""
    return f"\n## {title}\n\n{says}\n\n| key | default | what |\n| --- | --- | --- |\n{rows}{more}"


def _rows(section: type[BaseModel]) -> Iterator[str]:
    for key, field in section.model_fields.items():
        if key not in {"name", "options", "destinations"}:
            yield f"| `{key}` | {_default(field)} | {(field.description or '').replace('|', '/')} |\n"


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "must be set"
    value = field.get_default(call_default_factory=True)
    if isinstance(value, SecretStr):
        value = value.get_secret_value()
    if value is None or value in ("", ()):
        return ""
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, float):
        return f"`{value:g}`"
    if isinstance(value, tuple | list):
        return ", ".join(f"`{each}`" for each in value)
    return f"`{value}`"


if __name__ == "__main__":
    sys.stdout.write(markdown())
