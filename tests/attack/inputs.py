"""Hostile requests, as bytes on the wire: from one seed always the same ones. None of them may be taken."""

from __future__ import annotations

import base64
import gzip
import hashlib
import hmac
import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from tests.receiving import CHANNEL, SECRET, SHOP, order_body, signature

OTHER_CHANNEL = "books"
OTHER_SECRET = "another-secret"
OTHER_SHOP = "books.myshopify.com"
LIMIT_BYTES = 65_536

INJECTION = b"x\x1b[2J\x1b]0;forged\x07\xc2\x85\xe2\x80\xa8%0d%0a2026-01-01T00:00:00Z [error    ] forged"
"""What would move a cursor or begin a line, as far as a header may hold it."""


@dataclass(frozen=True, slots=True)
class Input:
    """One connection's worth of bytes."""

    kind: str
    data: bytes
    half_close: bool = False
    """Whether the sender says that nothing more comes."""


def request(
    headers: Mapping[bytes, bytes] | list[tuple[bytes, bytes]],
    body: bytes = b"",
    *,
    method: bytes = b"POST",
    path: bytes = f"/hooks/{CHANNEL}".encode(),
    version: bytes = b"HTTP/1.1",
    host: bytes | None = b"stock.example",
    length: bytes | None = None,
) -> bytes:
    """A request that asks for the connection's end after the answer."""
    pairs = list(headers.items() if isinstance(headers, Mapping) else headers)
    lines = [method + b" " + path + b" " + version]
    lines += [] if host is None else [b"Host: " + host]
    names = {name.lower() for name, _ in pairs}
    if not names & {b"content-length", b"transfer-encoding"}:
        lines.append(b"Content-Length: " + (str(len(body)).encode() if length is None else length))
    if b"connection" not in names:
        lines.append(b"Connection: close")
    lines += [name + b": " + value for name, value in pairs]
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


def head(
    given: str | bytes | None, more: Mapping[bytes, bytes] | None = None, *, delivery_id: str = "hostile"
) -> dict[bytes, bytes]:
    """A delivery's headers with this signature."""
    headers = {
        b"Content-Type": b"application/json",
        b"X-Shopify-Topic": b"orders/updated",
        b"X-Shopify-Shop-Domain": SHOP.encode(),
        b"X-Shopify-Webhook-Id": delivery_id.encode(),
    }
    if given is not None:
        headers[b"X-Shopify-Hmac-Sha256"] = given.encode("latin-1") if isinstance(given, str) else given
    return headers | dict(more or {})


def signed_by(body: bytes, secret: str = SECRET) -> bytes:
    """A right request, to be spoilt."""
    return request(head(signature(body, secret)), body)


def chunked(body: bytes, size: int = 100, *, end: bytes = b"0\r\n\r\n", extension: bytes = b"") -> bytes:
    pieces = [body[at : at + size] for at in range(0, len(body), size)]
    return b"".join(b"%x%s\r\n%s\r\n" % (len(piece), extension, piece) for piece in pieces) + end


CHUNKED = {b"Transfer-Encoding": b"chunked"}


# Signatures -------------------------------------------------------------------------------------------------------


def _other_encodings(digest: bytes) -> list[str]:
    right = base64.b64encode(digest).decode()
    return [
        digest.hex(),
        digest.hex().upper(),
        base64.urlsafe_b64encode(digest).decode(),
        base64.b32encode(digest).decode(),
        base64.b85encode(digest).decode(),
        right.upper(),
        right.lower(),
        right.swapcase(),
        right.rstrip("="),
        right + "=",
        right[: len(right) // 2],
        right[:-2],
        right[::-1],
        right[:20] + " " + right[20:],
        right[:20] + "\t" + right[20:],
        f'"{right}"',
        f"sha256={right}",
        f"v1,{right}",
        f"{right},{right}",
        f"{right} {right}",
        right + "\x7f\xa0\xff",
        "*",
        "null",
        "true",
        "",
    ]


def _signature(rng: random.Random, body: bytes) -> Input:
    digest = hmac.digest(SECRET.encode(), body, "sha256")
    right = base64.b64encode(digest).decode()
    wrong = [spelt for spelt in _other_encodings(digest) if spelt != right]
    wrong += [
        signature(body, OTHER_SECRET),
        signature(body, ""),
        signature(body, SECRET.upper()),
        signature(body, SECRET + "\n"),
        signature(b"", SECRET),
        signature(body + b" ", SECRET),
        signature(gzip.compress(body, mtime=0), SECRET),
        base64.b64encode(hashlib.sha256(body).digest()).decode(),
        base64.b64encode(hashlib.sha256(SECRET.encode() + body).digest()).decode(),
        base64.b64encode(hmac.digest(SECRET.encode(), body, "sha1")).decode(),
        base64.b64encode(hmac.digest(SECRET.encode(), body, "sha512")).decode(),
        base64.b64encode(rng.randbytes(32)).decode(),
        "A" * rng.choice([43, 44, 45, 4096]),
    ]
    return Input("signature", request(head(rng.choice(wrong)), body))


def _unsigned(rng: random.Random, body: bytes) -> Input:
    names = [
        b"X-Shopify-Hmac",
        b"X-Shopify-Hmac-Sha1",
        b"Shopify-Hmac-Sha256",
        b"X_Shopify_Hmac_Sha256",
        b"Authorization",
    ]
    headers = head(None) | {rng.choice(names): signature(body).encode()}
    return Input("unsigned", request(headers, rng.choice([body, b""])))


def _two_signatures(rng: random.Random, body: bytes) -> Input:
    wrong = base64.b64encode(rng.randbytes(32))
    pairs = [*head(signature(body)).items(), (b"x-shopify-hmac-sha256", wrong)]
    return Input("two signatures", request(pairs, body))


def _late_signature(rng: random.Random, body: bytes) -> Input:
    trailer = b"0\r\nX-Shopify-Hmac-Sha256: " + signature(body).encode() + b"\r\n\r\n"
    return Input("signature in a trailer", request(head(None, CHUNKED), chunked(body, end=trailer)))


def _changed(rng: random.Random, body: bytes) -> Input:
    at = rng.randrange(len(body))
    other = bytes([body[at] ^ (1 << rng.randrange(8))])
    spoilt = rng.choice(
        [
            body[:at] + other + body[at + 1 :],
            body[:at],
            body + b"\n",
            b"\xef\xbb\xbf" + body,
            body[:at] + body[at + 1 :],
        ]
    )
    return Input("changed body", request(head(signature(body)), spoilt))


def _other_channel(rng: random.Random, body: bytes) -> Input:
    headers = head(signature(body), {b"X-Shopify-Shop-Domain": rng.choice([SHOP, OTHER_SHOP]).encode()})
    return Input("another channel's", request(headers, body, path=f"/hooks/{OTHER_CHANNEL}".encode()))


def _other_shop(rng: random.Random, body: bytes) -> Input:
    shop = rng.choice([OTHER_SHOP, "toys.myshopify.com.evil.example", "toys.myshopify.com\xa0", "evil.example", "*"])
    return Input(
        "another shop's", request(head(signature(body), {b"X-Shopify-Shop-Domain": shop.encode("latin-1")}), body)
    )


# Sizes and framing ------------------------------------------------------------------------------------------------


def _size(rng: random.Random, body: bytes) -> Input:
    large = b"x" * (LIMIT_BYTES + 1)
    return rng.choice(
        [
            Input("too large, announced", request(head(signature(large)), large)),
            Input("too large, announced only", request(head("x"), length=b"%d" % (LIMIT_BYTES + 1)), half_close=True),
            Input("too large, in pieces", request(head(signature(large), CHUNKED), chunked(large, 8192))),
            Input("as large as may be", request(head("x"), large[:-1])),
            Input("nothing", request(head("x"))),
        ]
    )


def _bomb(rng: random.Random, body: bytes) -> Input:
    bomb = gzip.compress(b"0" * 10_000_000, mtime=0)
    encoding = rng.choice([b"gzip", b"deflate", b"br", b"zstd", b"gzip, gzip", b"x-gzip"])
    return Input("packed", request(head("x", {b"Content-Encoding": encoding}), bomb))


def _length(rng: random.Random, body: bytes) -> Input:
    length = rng.choice(
        [
            b"%d" % (len(body) + 100),
            b"-1",
            b"+5",
            b"0x10",
            b"5, 5",
            b"5 5",
            b"1e3",
            b"",
            b"\xb2",
            b"9" * 30,
            b"9" * 5000,
        ]
    )
    return Input("length that lies", request(head(base64.b64encode(rng.randbytes(32))), body, length=length), True)


def _short_length(rng: random.Random, body: bytes) -> Input:
    # What is left over is a request of its own to us, as it is to a proxy that counts otherwise.
    hidden = request(head("x", delivery_id="hidden"), body)
    return Input("request within a body", request(head("x"), body + hidden, length=b"%d" % len(body)), True)


def _framing(rng: random.Random, body: bytes) -> Input:
    codings = [
        b"chunked, gzip",
        b"gzip, chunked",
        b"identity",
        b"chunked, chunked",
        b"xchunked",
        b"\x0bchunked",
        b"Chunked;",
    ]
    pairs = [*head(signature(body) + "x").items(), (b"Transfer-Encoding", rng.choice(codings))]
    if rng.random() < 0.5:
        pairs.append((b"Content-Length", b"%d" % len(body)))
    return Input("framing", request(pairs, rng.choice([body, chunked(body)])), True)


def _chunks(rng: random.Random, body: bytes) -> Input:
    broken = [
        chunked(body, end=b""),
        chunked(body, end=b"-1\r\n\r\n"),
        chunked(body, end=b"g\r\n\r\n"),
        b"%x\r\n" % (2**64 - 1) + body,
        b"f" * 100 + b"\r\n" + body,
        b"5\nhello\n0\n\n",
        chunked(body, extension=b";" + b"x" * 3000),
        chunked(body, 1, extension=b";a=b"),
        chunked(body, end=b"0\r\n" + b"X: y\r\n" * 5000 + b"\r\n"),
        b" 5\r\nhello\r\n0\r\n\r\n",
    ]
    return Input("pieces", request(head("x", CHUNKED), rng.choice(broken)), half_close=True)


# Paths, methods, hosts, headers -----------------------------------------------------------------------------------


def _path(rng: random.Random, body: bytes) -> Input:
    paths = [
        *(
            b"/hooks/toys/",
            b"/hooks//toys",
            b"//hooks/toys",
            b"/hooks/toys%2f",
            b"/hooks%2ftoys",
            b"/hooks/%2e%2e/toys",
        ),
        *(b"/hooks/../hooks/toys", b"/hooks/./toys", b"/hooks/toys%00", b"/hooks/%74oys%0d%0aX:y", b"/hooks/TOYS"),
        *(
            b"/hooks/toys;a=b",
            b"/hooks/toys%20",
            b"/hooks/toys\\",
            b"/hooks/",
            b"/hooks",
            b"/",
            b"",
            b"*",
            b"/hooks/nobody",
        ),
        *(
            b"/hooks/\xff\xfe",
            b"/hooks/" + b"%ff" * 50,
            b"/hooks/" + b"a" * 20_000,
            b"/hooks/" + INJECTION,
        ),
        *(
            b"/console",
            b"/admin",
            b"/.env",
            b"/.git/config",
            b"/metrics/../hooks/x",
            b"/etc/passwd",
            b"/hooks/toys/../books",
        ),
        *(
            b"http://169.254.169.254/hooks/none",
            b"https://user:pass@evil.example/x",
            b"javascript:alert(1)",
            b"stock.example:443",
        ),
    ]
    return Input("path", request(head(signature(body)), body, path=rng.choice(paths)))


def _method(rng: random.Random, body: bytes) -> Input:
    methods = [
        b"GET",
        b"PUT",
        b"PATCH",
        b"DELETE",
        b"OPTIONS",
        b"TRACE",
        b"CONNECT",
        b"PROPFIND",
        b"PRI",
        b"post",
        b"P\x00ST",
    ]
    method = rng.choice([*methods, b"FOO", b"X" * 5000])
    return Input("method", request(head(signature(body)), body, method=method))


def _version(rng: random.Random, body: bytes) -> Input:
    version = rng.choice([b"", b"HTTP/0.9", b"HTTP/2.0", b"HTTP/9.9", b"HTTP/1.1.1", b"HTTP/", b"ICY/1.0", b"http/1.1"])
    return Input("version", request(head("x"), body, version=version), half_close=True)


def _host(rng: random.Random, body: bytes) -> Input:
    host = rng.choice(
        [None, b"", b"evil.example:99999", b"a b", b"a@b", b"[::1", b"x" * 5000, INJECTION, b"localhost\x00"]
    )
    return Input("host", request([*head("x").items(), (b"Host", b"second.example")], body, host=host))


def _headers(rng: random.Random, body: bytes) -> Input:
    extra: list[tuple[bytes, bytes]] = rng.choice(
        [
            [(b"X-Large", b"x" * 200_000)],
            [(b"X-%d" % number, b"y") for number in range(5000)],
            [(b"X" * 70_000, b"y")],
            [(b"X-Split", b"a\r\nX-Shopify-Hmac-Sha256: " + base64.b64encode(rng.randbytes(32)))],
            [(b"X-Nul", b"a\x00b")],
            [(b"X-Bare", b"a\rb")],
            [(b"X-Bell", b"a\x07b")],
            [(b"X\xff\xfe", b"y")],
            [(b"X Space", b"y")],
            [(b"", b"y")],
            [(b"X-Fold", b"a\r\n b\r\n\tc")],
            [(b"Expect", b"100-continue")],
            [(b"Upgrade", b"websocket"), (b"Connection", b"Upgrade")],
            [(b"Upgrade", b"h2c"), (b"Connection", b"Upgrade, HTTP2-Settings")],
            [(b"X-Forwarded-For", b"127.0.0.1"), (b"Forwarded", b"for=127.0.0.1;proto=https")],
            [(b"X-HTTP-Method-Override", b"GET"), (b"X-Original-URL", b"/metrics"), (b"X-Rewrite-URL", b"/metrics")],
            [(b"Range", b"bytes=0-" + b",0-" * 3000)],
            [(b"Cookie", b"a=" + b"b" * 30_000)],
        ]
    )
    return Input("headers", request([*extra, *head("x").items()], body), half_close=True)


def _injection(rng: random.Random, body: bytes) -> Input:
    names = [
        b"X-Shopify-Topic",
        b"X-Shopify-Webhook-Id",
        b"X-Shopify-Shop-Domain",
        b"X-Shopify-Hmac-Sha256",
        b"User-Agent",
    ]
    where = rng.choice(names)
    right = signature(body) if where == b"X-Shopify-Shop-Domain" else "x"
    # Whole, and what of it passes for a header's value.
    text = rng.choice([INJECTION, bytes(byte for byte in INJECTION if byte >= 32)])
    return Input("log injection", request(head(right, {where: text}), body))


# Not HTTP at all --------------------------------------------------------------------------------------------------


def _noise(rng: random.Random, body: bytes) -> Input:
    right = signed_by(body)
    at = rng.randrange(20, 200)
    data = rng.choice(
        [
            rng.randbytes(rng.randrange(1, 3000)),
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + rng.randbytes(500),
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + rng.randbytes(50),
            b"\r\n" * 1000,
            b"\x00" * 1000,
            b"*1\r\n$4\r\nPING\r\n",
            b"GET / HTTP/1.1\n\n",
            right[:at] + rng.randbytes(3) + b"\r\n\r\n",
            right[:at],
            b"POST /hooks/toys",
        ]
    )
    return Input("noise", data, half_close=True)


def _pipelined(rng: random.Random, body: bytes) -> Input:
    one = request(head("x", {b"Connection": b"keep-alive"}), body)
    return Input("pipelined", one * rng.randrange(2, 30), half_close=True)


KINDS: tuple[Callable[[random.Random, bytes], Input], ...] = (
    *(_signature, _unsigned, _two_signatures, _late_signature, _changed, _other_channel, _other_shop),
    *(_size, _bomb, _length, _short_length, _framing, _chunks),
    *(_path, _method, _version, _host, _headers, _injection),
    *(_noise, _pipelined),
)


def hostile(seed: int) -> Iterator[Input]:
    """Hostile inputs without end; each kind in its turn, so that any few hundred have all of them."""
    rng = random.Random(seed)
    while True:
        for kind in KINDS:
            body = order_body(rng.randrange(1, 10**6), rng.randrange(1, 4))
            yield kind(rng, body)
