"""Forms that may hold a file."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping

from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request

MOST_FILE_BYTES = 256 * 1024
"""Some thousands of links; the command line takes more."""
MOST_BYTES = MOST_FILE_BYTES * 4 // 3 + 64 * 1024
"""Of a whole form: a file that was looked at comes back in base64."""
MOST_FIELDS = 100
TOO_LARGE = f"The file is larger than {MOST_FILE_BYTES // 1024} KB. The command line takes it: trueup links import."


async def read_upload(request: Request) -> Mapping[str, str]:
    """The fields of a form, a file among them as the text it holds. Raises a 4xx for anything else."""
    if request.headers.get("content-type", "").partition(";")[0] != "multipart/form-data":
        raise HTTPException(415, "Not a form of the console.")
    parser = MultiPartParser(
        request.headers, _bounded(request), max_files=1, max_fields=MOST_FIELDS, max_part_size=MOST_BYTES
    )
    try:
        form = await parser.parse()
    except MultiPartException:
        raise HTTPException(400, "The form cannot be read.") from None
    try:
        return {name: await _text(value) for name, value in form.multi_items()}
    finally:
        await form.close()


async def _bounded(request: Request) -> AsyncGenerator[bytes, None]:
    left = MOST_BYTES
    async for chunk in request.stream():
        left -= len(chunk)
        if left < 0:
            raise HTTPException(413, TOO_LARGE)
        yield chunk


async def _text(value: str | UploadFile) -> str:
    if isinstance(value, str):
        return value
    content = await value.read()
    if len(content) > MOST_FILE_BYTES:
        raise HTTPException(413, TOO_LARGE)
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise HTTPException(400, "The file is not UTF-8 text. Save it as CSV in UTF-8.") from None
