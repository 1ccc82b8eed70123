# SPDX-License-Identifier: AGPL-3.0-or-later
"""Something that answers where slidegate should be."""

import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@contextmanager
def answering(settings, monkeypatch, reply):
    """Have something answer where slidegate should be."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            reply(self)

        do_POST = do_GET  # noqa: N815

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        monkeypatch.setattr(settings, "URL", f"http://127.0.0.1:{server.server_port}/below")
        try:
            yield
        finally:
            server.shutdown()
            thread.join()


def say(status, body=b"{}", **headers):
    def reply(handler):
        handler.send_response(status)
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)

    return reply
