# SPDX-License-Identifier: BSD-3-Clause
"""What is said of dependencies is what a service answered, and no answer is never taken for a good one."""

import gzip
import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[2]


class Advisories:
    """A service that knows what a test says of Python and npm packages, as OSV and npm's registry tell it."""

    def __init__(self) -> None:
        self.python: dict[str, str] = {}
        self.npm: dict[str, str] = {}
        self.asked: set[str] = set()
        self.port = 0

    def answer(self, path: str, body: Any) -> Any:
        if path == "/osv":
            name = body["package"]["name"]
            self.asked.add(f"{name} {body['version']}")
            known = self.python.get(name)
            return {"vulns": [osv(known, name)]} if known else {}
        self.asked |= {f"{name} {version}" for name, versions in body.items() for version in versions}
        return {
            name: [{"id": 1, "url": "https://example.org/1", "title": title, "severity": "high",
                    "vulnerable_versions": "*", "cwe": [], "cvss": {"score": 9.0, "vectorString": None}}]
            for name, title in self.npm.items() if name in body
        }  # fmt: skip


def osv(known: str, name: str) -> dict[str, Any]:
    events = [{"introduced": "0"}, {"fixed": "99.0"}]
    affected = {
        "package": {"name": name, "ecosystem": "PyPI"},
        "ranges": [{"type": "ECOSYSTEM", "events": events}],
    }
    return {
        "id": known,
        "summary": "It is bad.",
        "affected": [affected],
        "modified": "2026-01-01T00:00:00Z",
        "published": "2026-01-01T00:00:00Z",
    }


@pytest.fixture
def advisories() -> Iterator[Advisories]:
    kept = Advisories()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            said = self.rfile.read(int(self.headers["Content-Length"]))
            if self.headers.get("Content-Encoding") == "gzip":
                said = gzip.decompress(said)
            body = json.dumps(kept.answer(self.path, json.loads(said))).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_words: object) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    kept.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    yield kept
    server.shutdown()
    thread.join()
    server.server_close()


def audit(tmp_path: Path, port: int, *more: str) -> subprocess.CompletedProcess[str]:
    pins = tmp_path / "pins.txt"
    pins.write_text("# two\nlark==1.2.2\nnumpy==2.2.0 \\\n    --hash=sha256:00\n")
    there = f"http://127.0.0.1:{port}"
    return subprocess.run(
        [sys.executable, ROOT / "scripts" / "audit-dependencies", "--osv", f"{there}/osv", "--npm", there,
         *more, str(pins)],
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip


def test_everything_is_asked_for_and_what_is_known_is_named(tmp_path: Path, advisories: Advisories) -> None:
    done = audit(tmp_path, advisories.port)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 packages asked for, 0 known vulnerabilities" in done.stdout
    locked = json.loads((ROOT / "web" / "package-lock.json").read_text())["packages"]
    lit = locked["node_modules/lit"]["version"]
    assert {"lark 1.2.2", "numpy 2.2.0", f"lit {lit}"} <= advisories.asked

    advisories.python["numpy"] = "PYSEC-2026-1"
    advisories.npm["lit"] = "It lets anybody in"
    done = audit(tmp_path, advisories.port, "--where-possible")
    assert done.returncode == 1
    assert "numpy 2.2.0: PYSEC-2026-1, repaired in 99.0" in done.stdout
    assert "lit: high: It lets anybody in https://example.org/1" in done.stdout


def test_where_nobody_answers_nothing_is_said_to_be_safe(tmp_path: Path) -> None:
    done = audit(tmp_path, 9)
    assert done.returncode == 2
    assert done.stdout.count("NOT ASKED") == 2 and done.stdout.count("0 packages asked for") == 2
