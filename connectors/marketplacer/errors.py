"""From Marketplacer's refusals to ours.

The vendor documents no error body, so the HTTP status alone decides.
"""

from __future__ import annotations

import httpx

from connectors.errors import ConnectorError, NotFound, OutcomeUnknown, Rejected, Unauthorized, Unavailable
from connectors.http import excerpt

_BY_STATUS: dict[int, type[ConnectorError]] = {401: Unauthorized, 403: Unauthorized, 404: NotFound}


def read_error(response: httpx.Response, *, account: str, what: str) -> ConnectorError:
    """What an answer to a read that is not a success means. `what` completes "Marketplacer refused ..."."""
    status = response.status_code
    if response.is_redirect:
        message = f"{what} was redirected, which is never followed; check the base_url"
        return Rejected(message, account=account, code=str(status))
    if not response.is_client_error:
        message = f"{what} was answered {status}, which says nothing"
        return Unavailable(message, account=account, code=str(status))
    kind = _BY_STATUS.get(status, Rejected)
    return kind(f"Marketplacer refused {what} ({status}): {excerpt(response)}", account=account, code=str(status))


def write_error(response: httpx.Response, *, account: str, what: str) -> ConnectorError:
    """What an answer to a write that is not a success means: a refused request was not executed."""
    if response.is_client_error:
        return read_error(response, account=account, what=what)
    message = f"{what} was answered {response.status_code}, which does not say whether it was executed"
    return OutcomeUnknown(message, account=account, code=str(response.status_code))
