# SPDX-License-Identifier: BSD-3-Clause
"""The ``slidegate`` command: parses, asks the services, prints. No decision is made here.

Exit codes: 0 done; 1 an image failed or was cancelled, or a check found a fault; 2 the request cannot be
carried out as it was given; 4 the site or the server cannot be reached or refused; 5 a fault of slidegate
itself (the trace is in the log), or its database cannot be used; 130 interrupted.
"""

import os
import signal
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from pydantic import ValidationError

    from slidegate.client import ClientError
    from slidegate.domain.errors import SlidegateError

_INTERRUPTED = 130
_SILENT = 4


def main() -> None:
    """Run the command line and leave with a documented exit code."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _leave)
    status = _carried_out()
    if status == _INTERRUPTED:  # all is closed; libraries may have been starting threads, and would abort
        with suppress(OSError):  # nobody reads any more
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(status)
    sys.exit(status)


def _leave(*_signal: object) -> NoReturn:
    """Leave at once: nothing is begun yet, and libraries that are being loaded would print their traces."""
    os.write(2, b"slidegate: Interrupted; nothing was begun.  [interrupted]\n")
    os._exit(_INTERRUPTED)


def _carried_out() -> int:
    """Do what the command line says; print what went wrong, and return the exit code."""
    from pydantic import ValidationError

    from slidegate.cli.app import UsageError, carry_out, usage_sentence
    from slidegate.cli.errors import Interrupted
    from slidegate.cli.view import log_path, say_error
    from slidegate.domain.errors import BadRequest, SlidegateError, trace_of

    if signal.getsignal(signal.SIGINT) is _leave:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        status = carry_out()
        if status == _INTERRUPTED:  # typer makes this of the exception
            raise Interrupted
    except UsageError as error:
        say_error(usage_sentence(error), BadRequest.code)
        return BadRequest.exit_code
    except (SlidegateError, ValidationError) as error:
        known = _of_setting(error) if isinstance(error, ValidationError) else error
        say_error(known.message, known.code)
        return known.exit_code
    except Exception as error:  # noqa: BLE001 - the edge: a person gets a sentence, the log gets the trace
        images = sys.modules.get("slidegate_analysis.images")  # loaded by nobody, it has raised nothing
        client = sys.modules.get("slidegate.client")
        if images is not None and isinstance(error, images.ImagesError):
            say_error(str(error), error.code)
            return BadRequest.exit_code
        if client is not None and isinstance(error, client.ClientError):
            say_error(_of_server(error), error.code)
            return _SILENT if error.transient else BadRequest.exit_code
        with suppress(OSError), log_path().open("a", encoding="utf-8") as log:
            log.write(f"{trace_of(error)}\n")
        say_error(f"This is a fault of slidegate itself; the end of {log_path()} says more.", "internal")
        return 5
    return status


def _of_server(error: "ClientError") -> str:
    """Say what a server answered, and what can be done about it."""
    errors = [f"{each.get('name')}: {each.get('message')}" for each in getattr(error, "errors", [])]
    words = " ".join([error.message, *errors])
    return f"{words} slidegate login signs you in." if error.code == "not-signed-in" else words


def _of_setting(error: "ValidationError") -> "SlidegateError":
    """Say which setting holds what cannot be used; what may hold a password is not repeated."""
    from slidegate.cli.errors import BadSetting

    first = error.errors()[0]
    setting = str(first["loc"][0])
    name = f"SLIDEGATE_{setting.upper()}"
    where = f"The variable {name}" if name in os.environ else f"The setting {setting}"
    value = "" if setting == "database_url" else f" ({first['input']!r})"
    return BadSetting(f"{where} does not fit{value}: {first['msg'].removeprefix('Value error, ')}.")
