"""The fault proxy of the chaos runs, before an echoing server on this machine."""

from __future__ import annotations

import socket
import socketserver
import threading
from collections.abc import Iterator
from contextlib import closing
from random import Random

import pytest

from tests.chaos.proxy import Line, Lines
from tests.chaos.watching import Deliveries


class Echo(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        while piece := self.request.recv(65536):
            self.request.sendall(piece)


@pytest.fixture
def server() -> Iterator[int]:
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Echo) as echo:
        echo.daemon_threads = True
        thread = threading.Thread(target=echo.serve_forever, args=(0.02,))
        thread.start()
        yield echo.server_address[1]
        echo.shutdown()
        thread.join()


@pytest.fixture
def line(server: int) -> Iterator[Line]:
    with Lines() as lines:
        yield lines.open("echo", "127.0.0.1", server, Random(1))


def connected(line: Line) -> closing[socket.socket]:
    return closing(socket.create_connection(("127.0.0.1", line.port), timeout=10))


def echoed(connection: socket.socket, text: bytes) -> bytes:
    connection.sendall(text)
    return connection.recv(65536)


def test_a_whole_line_passes_everything_on(line: Line) -> None:
    with connected(line) as connection:
        assert echoed(connection, b"hello") == b"hello"


def test_a_refusing_line_breaks_what_is_open_and_lets_nobody_in_until_it_is_mended(line: Line) -> None:
    with connected(line) as connection:
        echoed(connection, b"hello")
        line.refuse()
        with pytest.raises(ConnectionResetError):
            echoed(connection, b"still there?")
    with pytest.raises(ConnectionRefusedError):
        connected(line)
    line.mend()
    with connected(line) as connection:
        assert echoed(connection, b"hello") == b"hello"


def test_what_was_sent_into_silence_arrives_when_the_line_is_mended(line: Line) -> None:
    with connected(line) as connection, connected(line) as other:
        echoed(connection, b"hello")
        line.silence()
        connection.settimeout(0.2)
        with pytest.raises(TimeoutError):
            echoed(connection, b"late")
        other.sendall(b"new")
        line.mend()
        connection.settimeout(10)
        assert connection.recv(65536) == b"late"
        assert other.recv(65536) == b"new"


def test_a_cut_answer_breaks_off_before_its_end(line: Line) -> None:
    line.cut()
    answers = []
    for _ in range(200):
        with connected(line) as connection:
            try:
                answers.append(echoed(connection, b"hello"))
            except ConnectionResetError:
                answers.append(b"")
    assert line.cut_answers == sum(answer != b"hello" for answer in answers) > 0
    line.mend()
    with connected(line) as connection:
        assert echoed(connection, b"hello") == b"hello"


def test_an_ear_hears_an_answer_that_is_cut(server: int) -> None:
    deliveries = Deliveries()
    with Lines() as lines:
        line = lines.open("echo", "127.0.0.1", server, Random(1), deliveries.ear)
        line.cut()
        for number in range(100):
            with connected(line) as connection:
                text = b"\r\nX-Shopify-Webhook-Id: %d\r\nHTTP/1.1 200 OK\r\n" % number
                try:
                    echoed(connection, text)
                except ConnectionResetError:
                    continue
        assert line.cut_answers > 0
    assert len(deliveries.acknowledged) == 100
