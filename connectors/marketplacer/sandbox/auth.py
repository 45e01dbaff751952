"""Who is let in: a key in one of two headers, and HTTP basic authentication where the site asks for it."""

from __future__ import annotations

import base64
import hmac
from collections.abc import Mapping

from .entities import Seller
from .errors import ApiError, unauthorized
from .site import Site

KEY = "marketplacer-api-key"
AUTHORIZATION = "authorization"


def admit(site: Site, headers: Mapping[str, str]) -> Seller:
    """The seller whose key it is. Raises `ApiError`."""
    scheme, _, rest = headers.get(AUTHORIZATION, "").partition(" ")
    bearer = rest if scheme.lower() == "bearer" else None
    if site.options.basic_user is not None and not _is_basic(site, scheme, rest):
        raise unauthorized("this site asks for HTTP basic authentication")
    key = headers.get(KEY)
    if key is not None and bearer is not None:
        raise ApiError(400, "Bad Request", "the key stands in two headers")
    given = (bearer if key is None else key) or ""
    for seller in site.sellers.values():
        if hmac.compare_digest(seller.api_key.encode(), given.encode()):
            return seller
    raise unauthorized("the key is missing or unknown")


def _is_basic(site: Site, scheme: str, rest: str) -> bool:
    pair = f"{site.options.basic_user}:{site.options.basic_password.get_secret_value()}"
    return scheme.lower() == "basic" and hmac.compare_digest(base64.b64encode(pair.encode()), rest.encode())
