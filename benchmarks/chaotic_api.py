# SPDX-License-Identifier: BSD-3-Clause
"""The api, for benchmarks/chaos.py: launches are asked of it as programs ask, and it can be killed."""

import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import httpx

from slidegate.store import Store

SLIDEGATE = Path(sys.executable).with_name("slidegate")
SECONDS = 5.0
# the api may be down, be asked too often, or not have heard yet what a site offers; a launch may be repeated
ONCE_MORE = {"unknown-workflow", "unknown-site", "too-many-requests", "rate-limited"}


class Api:
    """One api process, started again when it was killed, and a token of each person."""

    def __init__(
        self, store: Store, people: Sequence[str], folder: Path, environment: Mapping[str, str]
    ) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self._port = free.getsockname()[1]
        self._environment = dict(environment)
        self._said = folder / "said" / "api"
        self._said.parent.mkdir(exist_ok=True)
        self._tokens: dict[str, str] = {}
        for person in people:
            store.accounts.set(person, "researcher", "lab", time.time())
            self._tokens[person] = store.tokens.make(person, "chaos", time.time())
        self._process = self._start()

    def _start(self) -> "subprocess.Popen[bytes]":
        argv = [str(SLIDEGATE), "api", "--port", str(self._port)]
        with self._said.open("ab") as said:
            return subprocess.Popen(argv, env=self._environment, stdout=said, stderr=said)

    def launch(self, person: str, key: str, body: Mapping[str, Any]) -> dict[str, Any] | None:
        """Ask for a launch under a key; return the wish that it is, None when the api cannot say just now."""
        headers = {"Authorization": f"Bearer {self._tokens[person]}", "Idempotency-Key": key}
        url = f"http://127.0.0.1:{self._port}/v1/launches"
        try:
            answer = httpx.post(url, json=body, headers=headers, timeout=SECONDS)
        except httpx.HTTPError:
            return None
        said = dict(answer.json())
        if answer.is_success:
            return said
        if answer.is_server_error or answer.status_code == httpx.codes.TOO_MANY_REQUESTS:
            return None
        if said.get("code") in ONCE_MORE:
            return None
        raise SystemExit(f"the api refused a launch: {said}")

    def kill(self) -> None:
        """Kill it, and start another in its place."""
        self._process.kill()
        self._process.wait()
        self._process = self._start()

    def close(self) -> None:
        """Let it end."""
        self._process.terminate()
        self._process.wait(60)
