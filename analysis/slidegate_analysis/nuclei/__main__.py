# SPDX-License-Identifier: BSD-3-Clause
"""Step process: a JSON line in per Unit, a JSON line out; ``compile`` fills the folder of compiled code."""

import json
import os
import sys
import traceback
import uuid
from pathlib import Path
from typing import IO, Any

import numpy as np

from slidegate_analysis.images import ImagesError, plan_blocks
from slidegate_analysis.nuclei.detect import ReliefDetector, levels_of_array
from slidegate_analysis.nuclei.errors import NucleiError
from slidegate_analysis.nuclei.geometry import geometry_for
from slidegate_analysis.nuclei.measure import intensities, outline
from slidegate_analysis.nuclei.steps import Request, run


def main(arguments: list[str]) -> int:
    """Serve Units from standard input until it ends; or, with the word ``compile``, compile and leave."""
    if arguments == ["compile"]:
        compile_all()
        return 0
    if arguments:
        print("usage: python -m slidegate_analysis.nuclei [compile]", file=sys.stderr)
        return 2
    # What a library prints must not mix with answers: they keep the original standard output for themselves.
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    serve(sys.stdin, answers)
    return 0


def serve(requests: IO[str], answers: IO[str]) -> None:
    """Answer every line with a line."""
    for line in requests:
        answers.write(json.dumps(answer(line)) + "\n")
        answers.flush()


def answer(line: str) -> dict[str, Any]:
    """Do the Unit that a line asks for and say how it went; never raises."""
    try:
        return {"ok": True, **run(_request(json.loads(line)))}
    except (NucleiError, ImagesError) as error:
        return _failure(error.code, str(error), error.transient)
    except MemoryError:
        traceback.print_exc()
        return _failure(
            "out-of-memory", "There is not enough memory for one block: make block_px smaller.", False
        )
    except OSError as error:
        traceback.print_exc()
        return _failure("files-failed", f"A file could not be read or written ({error.strerror}).", True)
    except Exception:  # noqa: BLE001 - the edge: the trace goes to the log under a mark
        mark = uuid.uuid4().hex[:12]
        print(f"error {mark}", file=sys.stderr)
        traceback.print_exc()
        return _failure(
            "internal-error", f"Something went wrong that should not; the log has it as {mark}.", False
        )


def compile_all() -> None:
    """Run every compiled function once on a small image of each type, so that jobs need not compile."""
    geometry = geometry_for(8.0)
    for kind in (np.uint8, np.uint16):
        pixels = np.full((96, 96), 10, kind)
        for y, x in ((20, 20), (20, 27), (60, 50)):
            pixels[y : y + 8, x : x + 8] = 200
        detector = ReliefDetector(geometry, levels_of_array(pixels, geometry, 0.5))
        block = plan_blocks(pixels.shape, 96, detector.halo)[0]
        outlines = outline(detector.detect(pixels, block, pixels.shape), block, pixels.shape)
        intensities(pixels, (0, 0), outlines, outlines.windows(pixels.shape)[0])


def _request(content: dict[str, Any]) -> Request:
    inputs = {name: Path(folder) for name, folder in content["inputs"].items()}
    return Request(
        step=content["step"],
        unit=content["unit"],
        image=inputs["image"],
        regions=inputs.get("regions"),
        parameters=content["parameters"],
        shared=Path(content["shared"]),
        out=Path(content["out"]),
        results=content.get("results", {}),
        attempt=content.get("attempt", {}),
    )


def _failure(code: str, message: str, transient: bool) -> dict[str, Any]:
    return {"ok": False, "code": code, "message": message, "transient": transient}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
