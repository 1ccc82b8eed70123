# SPDX-License-Identifier: BSD-3-Clause
"""A Link to a program on this computer, over its standard input and output."""

import os
import subprocess
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from itertools import count
from queue import SimpleQueue
from threading import Semaphore

from slidegate_gate.errors import BadFrame, Idle
from slidegate_gate.protocol import frames

from slidegate.sites.errors import GateSilent, LinkDown, LinkNoise
from slidegate.sites.link import Frame, Message

PLAIN = {"PATH": "/usr/local/bin:/usr/bin:/bin", "LANG": "C.UTF-8"}
_WINDOW = 6
_PIPE = 1 << 20
_LAST_WORDS = 4000
_QUOTED = 400
_ENDING_SECONDS = 2.0


class PipeLink:
    """A gate as a child process.

    Parameters
    ----------
    argv
        The argument list of ``... serve --home H --key K``. No shell is involved.
    idle_seconds
        How long to wait for a part of an answer before the gate counts as hung; it is then killed.
    environment
        The whole environment of the process.
    """

    def __init__(
        self, argv: Sequence[str], idle_seconds: float = 120.0, environment: Mapping[str, str] = PLAIN
    ) -> None:
        self._stderr = tempfile.TemporaryFile()  # noqa: SIM115  (lives as long as the process)
        self._numbers = count(1)
        self._idle_seconds = idle_seconds
        try:
            self._process: subprocess.Popen[bytes] | None = subprocess.Popen(
                list(argv),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._stderr,
                env=environment,
                cwd="/",
                bufsize=0,
                pipesize=_PIPE,
                start_new_session=True,
            )
        except OSError as error:
            self._stderr.close()
            raise LinkDown(f"{argv[0]} cannot be started: {error.strerror}.") from error
        self._reader = frames.FrameReader(self._handle("stdout"), idle=idle_seconds)

    @property
    def closed(self) -> bool:
        """See Link.closed."""
        return self._process is None

    def exchange(self, request: Message, body: bytes = b"") -> Frame:
        """See Link.exchange."""
        (answer,) = self.stream([(request, body)])
        return answer

    def stream(self, requests: Iterable[Frame]) -> Iterator[Frame]:
        """See Link.stream."""
        sender = _Sender(self._handle("stdin"), self._numbers)
        finished = False
        try:
            with ThreadPoolExecutor(1) as thread:
                sending = thread.submit(sender.send, requests)
                try:
                    yield from self._answers(sender)
                    finished = True
                finally:
                    if not finished:
                        self._kill()
                        sender.stop()
        finally:
            if not finished:
                self.close()
        try:
            sending.result()
        except BrokenPipeError as error:
            down = self._down()
            self.close()
            raise down from error

    def _answers(self, sender: "_Sender") -> Iterator[Frame]:
        for name in sender.sent():
            answer, body = self._read()
            if answer.pop("id", None) != name:
                raise LinkNoise("The site answered another request than the one that was sent.")
            sender.answered()
            yield answer, body

    def _read(self) -> Frame:
        try:
            frame = self._reader.read()
        except Idle as error:
            raise GateSilent(f"The site has said nothing for {self._idle_seconds:.0f} seconds.") from error
        except BadFrame as error:
            if "ended inside a frame" in str(error):
                raise self._down() from error
            raise self.noise(str(error)) from error
        except OSError as error:  # an interrupt came while the channel was being closed
            raise LinkDown("The connection to the site was closed.") from error
        if frame is None:
            raise self._down()
        return frame.message, bytes(frame.body)

    def _handle(self, name: str) -> int:
        if self._process is None:
            raise LinkDown("The connection to the site was closed.")
        return int(getattr(self._process, name).fileno())

    def _down(self) -> LinkDown:
        """Return what a channel that ended means, by the process's exit code and its last words."""
        code = None
        if self._process is not None:
            with suppress(subprocess.TimeoutExpired):
                code = self._process.wait(_ENDING_SECONDS)
        self._stderr.seek(0, os.SEEK_END)
        self._stderr.seek(max(0, self._stderr.tell() - _LAST_WORDS))
        return self.ended(code, self._stderr.read().decode("utf-8", "replace"))

    def ended(self, _code: int | None, words: str) -> LinkDown:
        """Return the error for a process that ended with this exit code and these last words."""
        said = quoted(words)
        return LinkDown(
            f"The gate ended. Its last words: {said}" if said else "The gate ended without a word."
        )

    def noise(self, words: str) -> LinkNoise:
        """Return the error for something that is not a frame."""
        return LinkNoise(f"Something else than a gate answered. {words}")

    def _kill(self) -> None:
        if self._process is not None:
            self._process.kill()

    def close(self) -> None:
        """End the channel: the gate's input is closed, and it is killed if it does not end soon."""
        process, self._process = self._process, None
        if process is None:
            return
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                pipe.close()
        try:
            process.wait(1)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        self._stderr.close()


def quoted(words: str) -> str:
    """Return the end of what a program wrote, on one line."""
    return " ".join(words.split())[-_QUOTED:]


class _Sender:
    """Writes requests while another thread reads the answers, so that neither side waits for the other."""

    def __init__(self, handle: int, numbers: Iterator[int]) -> None:
        self._handle = handle
        self._numbers = numbers
        self._window = Semaphore(_WINDOW)
        self._names: SimpleQueue[str | None] = SimpleQueue()
        self._stopped = False

    def send(self, requests: Iterable[Frame]) -> None:
        """Write all requests, never more than a window ahead of the answers."""
        try:
            for request, body in requests:
                self._window.acquire()
                if self._stopped:
                    return
                name = format(next(self._numbers), "x")
                self._names.put(name)
                frames.write_frame(self._handle, {**request, "id": name}, body)
        finally:
            self._names.put(None)

    def sent(self) -> Iterator[str]:
        """Yield the id of each request that was, or is being, written."""
        while (name := self._names.get()) is not None:
            yield name

    def answered(self) -> None:
        """Let one more request out."""
        self._window.release()

    def stop(self) -> None:
        """Write nothing more."""
        self._stopped = True
        self._window.release()
