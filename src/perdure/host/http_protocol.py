"""HTTP/1.1 on a connection: uvicorn's, with a bound on what comes before a body, which it would keep without end."""

from __future__ import annotations

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

#: bytes of request line and headers; what arrives together with the last of them is read, too
LARGEST_HEAD = 64 << 10
_TOO_LARGE = f"Request line and headers have more than {LARGEST_HEAD} bytes."


class BoundedHttp(HttpToolsProtocol):
    """Answers 431 to a request line and headers that do not end."""

    _in_head = False
    _size = 0

    def data_received(self, data: bytes) -> None:
        """Parse what has arrived."""
        self._size += len(data)
        super().data_received(data)
        if self._in_head and self._size > LARGEST_HEAD and not self.transport.is_closing():
            self._refuse()

    def on_message_begin(self) -> None:
        """A request begins somewhere in what has just arrived."""
        self._in_head, self._size = True, 0
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """Its body is left to the application."""
        self._in_head = False
        super().on_headers_complete()

    def _refuse(self) -> None:
        text = _TOO_LARGE.encode("ascii")
        self.transport.write(
            b"HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-type: text/plain; charset=utf-8\r\n"
            b"content-length: %d\r\nconnection: close\r\n\r\n%b" % (len(text), text)
        )
        self.transport.close()
