"""Addresses that credentials are sent to."""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit


def safe_base_url(url: str) -> str:
    """The address without a slash at its end. Raises ValueError, with a remedy, for one that must not see a secret.

    Plain HTTP is for this machine only; an address with credentials of its own would carry them into every message
    that names it.
    """
    parts = urlsplit(url)
    if not parts.hostname or parts.username or parts.password or parts.query or parts.fragment:
        raise ValueError("must be an address without credentials, query or fragment, like http://127.0.0.1:8080")
    if parts.scheme != "https" and not (parts.scheme == "http" and _is_loopback(parts.hostname)):
        message = "must use https; plain http is for addresses of this machine only, such as http://127.0.0.1:8080"
        raise ValueError(message)
    return url.rstrip("/")


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
