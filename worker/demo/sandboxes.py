"""The two vendors of the demo, each in a process of its own, with what goes wrong at them."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from random import Random
from typing import Any

from worker.demo.processes import ServerProcess

DUPLICATED = REORDERED = 0.05
DROPPED = 0.03
LOST_AFTER = LOST_BEFORE = 0.01

SHOP_BUCKET_POINTS = 200_000
"""A real shop grants 2,000 and 100 a second; with that, polling would set the pace of the demo."""
SHOP_RESTORE_POINTS_PER_SECOND = 50_000
SHOP_RETRY_TIME_SCALE = 0.02
"""A real shop tries an unanswered webhook again after about a minute, here after about a second."""

SHOP_DOMAIN = "demo-shop.myshopify.com"


def start_marketplace(folder: Path, seed: int) -> tuple[ServerProcess, Mapping[str, Any]]:
    """A Sharetribe-speaking sandbox, in the profile of a live environment. Returns it with its options."""
    options = {
        "profile": "live",
        "seed": seed,
        "client_id": "d3300000-0000-4000-8000-000000000001",
        "client_secret": _secret("marketplace", seed),
        "lost_after_rate": LOST_AFTER,
        "lost_before_rate": LOST_BEFORE,
    }
    return _start("sharetribe", options, folder), options


def start_shop(folder: Path, seed: int) -> tuple[ServerProcess, Mapping[str, Any]]:
    """A Shopify-speaking sandbox. Returns it with its options."""
    options = {
        "shop_domain": SHOP_DOMAIN,
        "seed": seed,
        "access_token": _secret("shop", seed),
        "client_secret": _secret("webhooks", seed),
        "bucket_points": SHOP_BUCKET_POINTS,
        "restore_points_per_second": SHOP_RESTORE_POINTS_PER_SECOND,
        "retry_time_scale": SHOP_RETRY_TIME_SCALE,
        "delivery_faults": {"duplicate_rate": DUPLICATED, "reorder_rate": REORDERED, "drop_rate": DROPPED},
    }
    return _start("shopify", options, folder), options


def _start(name: str, options: Mapping[str, Any], folder: Path) -> ServerProcess:
    arguments = ("connectors.sandbox", name, "--options", json.dumps(options), "--with-parent", str(os.getpid()))
    return ServerProcess(name, arguments, folder)


def _secret(name: str, seed: int) -> str:
    """A made-up credential; it opens nothing but a sandbox on this machine."""
    return f"demo-{name}-{Random(f'{name} {seed}').getrandbits(64):016x}"
