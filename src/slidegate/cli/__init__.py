# SPDX-License-Identifier: BSD-3-Clause
"""The ``slidegate`` command: parses, asks the services, prints. No decision is made here.

Exit codes: 0 done; 1 an image failed or was cancelled; 2 the request cannot be carried out as it was given;
4 the site cannot be reached or refused; 5 a fault of slidegate itself (the trace is in the log); 130
interrupted.
"""

import sys
import traceback


def main() -> None:
    """Run the command line and leave with a documented exit code."""
    from pydantic import ValidationError
    from slidegate_analysis.images import ImagesError

    from slidegate.cli.app import app
    from slidegate.cli.view import log_path, say_error
    from slidegate.domain.errors import SlidegateError

    try:
        app()
    except SlidegateError as error:
        say_error(error.message, error.code)
        sys.exit(error.exit_code)
    except ImagesError as error:
        say_error(str(error), error.code)
        sys.exit(2)
    except ValidationError as error:
        first = error.errors()[0]
        name = f"{error.title.upper()}: {'.'.join(str(part) for part in first['loc'])}"
        say_error(f"A setting in the environment does not fit: {name}: {first['msg']}.", "bad-setting")
        sys.exit(2)
    except KeyboardInterrupt:
        say_error("Interrupted. What was begun goes on; the same command follows it again.", "interrupted")
        sys.exit(130)
    except BrokenPipeError:
        sys.exit(141)
    except Exception:  # noqa: BLE001 - the edge: a person gets a sentence, the log gets the trace
        with log_path().open("a", encoding="utf-8") as log:
            log.write(traceback.format_exc())
        say_error(f"This is a fault of slidegate itself; the end of {log_path()} says more.", "internal")
        sys.exit(5)
