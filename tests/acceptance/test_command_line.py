# SPDX-License-Identifier: BSD-3-Clause
"""What a person gets who types commands: the real command, gate, crew and workflow, in real processes."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import jsonschema
import numpy as np
import pyarrow.parquet as pq
import pytest
import tifffile
from ome_zarr_models.v05 import image_label
from slidegate_analysis.images import open_labels
from slidegate_analysis.nuclei.score import score

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[2]
SLIDEGATE = Path(sys.executable).with_name("slidegate")
SCHEMA = json.loads((ROOT / "src" / "slidegate" / "cli" / "answer.schema.json").read_text())
FILES = {"labels.zarr", "nuclei.parquet", "summary.json", "report.html", "ro-crate-metadata.json", "run.log"}


def draw(path: Path, pixels: np.ndarray, pixel_um: float | None = 0.325, axes: str | None = None) -> Path:
    """Write an OME-TIFF."""
    physical = {} if pixel_um is None else {"PhysicalSizeX": pixel_um, "PhysicalSizeY": pixel_um}
    tifffile.imwrite(path, pixels, ome=True, metadata={"axes": axes or "CYX"[-pixels.ndim :], **physical})
    return path


def spots(height: int = 300, width: int = 400, seed: int = 1) -> np.ndarray:
    """A small picture with bright discs on a noisy ground: uint16, shape (height, width)."""
    random = np.random.default_rng(seed)
    picture = random.normal(300, 15, (height, width))
    rows, columns = np.mgrid[:height, :width]
    for y in range(30, height - 20, 60):
        for x in range(30, width - 20, 60):
            picture[(rows - y) ** 2 + (columns - x) ** 2 < 12**2] += 2000
    return picture.clip(0, 65535).astype(np.uint16)


def test_nuclei_are_found_on_a_real_image_and_everything_promised_lies_beside_it(ask, real_image, tmp_path):
    answer = ask("run", "nuclei", real_image / "img2d.tif", "--pixel-size", "0.325", "--out", tmp_path)

    jsonschema.validate(answer, SCHEMA)
    assert answer["state"] == "succeeded"
    results = Path(answer["images"][0]["results"])
    assert results == tmp_path / "img2d"
    assert {path.name for path in results.iterdir()} >= FILES
    found = open_labels(results / "labels.zarr").read(0, 512, 0, 512)
    truth = tifffile.imread(real_image / "mask2d.tif")
    assert score(truth, found).f1 > 0.75
    table = pq.read_table(results / "nuclei.parquet")
    assert set(table["id"].to_pylist()) == set(np.unique(found[found > 0]).tolist())
    assert answer["images"][0]["summary"]["nuclei"] == table.num_rows
    image_label.ImageLabel.from_zarr(__import__("zarr").open_group(results / "labels.zarr", mode="r"))
    assert "<script src" not in (results / "report.html").read_text()


def test_the_same_request_is_the_same_run_and_again_makes_another(ask, tmp_path):
    image = draw(tmp_path / "a.ome.tif", spots())
    first = ask("run", "nuclei", image, "--out", tmp_path / "out")
    second = ask("run", "nuclei", image, "--out", tmp_path / "out")
    copied = tmp_path / "other" / "b.ome.tif"
    copied.parent.mkdir()
    copied.write_bytes(image.read_bytes())
    elsewhere = ask("run", "nuclei", copied, "--out", tmp_path / "out")
    other = ask("run", "nuclei", image, "--out", tmp_path / "out", "--param", "sensitivity=0.4")
    again = ask("run", "nuclei", image, "--out", tmp_path / "out", "--again")

    assert [first["outcome"], second["outcome"], elsewhere["outcome"]] == ["created", "finished", "finished"]
    assert second["run"] == elsewhere["run"] == first["run"]
    assert second["changed_at"] == first["changed_at"]
    assert len({first["run"], other["run"], again["run"]}) == 3
    folders = {answer["images"][0]["results"] for answer in (first, other, again)}
    assert len(folders) == 3, "results of another run must not be replaced"


def test_a_finished_run_is_published_to_another_place_without_computing(ask, tmp_path):
    image = draw(tmp_path / "a.ome.tif", spots(seed=2))
    first = ask("run", "nuclei", image, "--out", tmp_path / "one")
    second = ask("run", "nuclei", image, "--out", tmp_path / "two")

    assert second["outcome"] == "published-again"
    assert second["images"][0]["usage"] == first["images"][0]["usage"]
    one, two = (tmp_path / name / "a" / "nuclei.parquet" for name in ("one", "two"))
    assert one.read_bytes() == two.read_bytes()


def test_images_that_cannot_be_used_say_why_and_hold_nothing_back(ask, tmp_path):
    images = tmp_path / "images"
    images.mkdir()
    good = spots(seed=3)
    draw(images / "good.ome.tif", good)
    draw(images / "no-pixel-size.ome.tif", good, pixel_um=None)
    draw(images / "float.ome.tif", good.astype(np.float32))
    draw(images / "nan.ome.tif", np.full((40, 40), np.nan, np.float32))
    draw(images / "stack.ome.tif", np.stack([good] * 3), axes="ZYX")
    tifffile.imwrite(images / "colour.tif", np.zeros((50, 60, 3), np.uint8), photometric="rgb")
    (images / "truncated.tif").write_bytes((images / "good.ome.tif").read_bytes()[:-50_000])
    (images / "empty.tif").write_bytes(b"")
    (images / "words.tif").write_text("not an image at all")

    answer = ask("run", "nuclei", images, "--out", tmp_path / "out")

    jsonschema.validate(answer, SCHEMA)
    by_name = {image["name"].split(".")[0]: image for image in answer["images"]}
    codes = {name: image["error"] and image["error"]["code"] for name, image in by_name.items()}
    assert codes.pop("good") is None
    assert all(codes.values()), codes
    assert codes["no-pixel-size"] == "pixel-size-missing"
    assert len(set(codes.values())) >= 6, codes
    for name, image in by_name.items():
        if name != "good":
            assert image["state"] == "failed" and image["results"] is None
            assert image["error"]["message"].endswith("."), image["error"]
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["good"]


@pytest.mark.parametrize(
    ("name", "pixels", "nuclei"),
    [
        ("one-pixel", np.full((1, 1), 500, np.uint16), 0),
        ("dark", np.zeros((200, 300), np.uint16), 0),
        ("saturated", np.full((100, 100), 65535, np.uint16), 0),
        ("smaller-than-the-halo", spots(90, 100), None),
        ("eight-bit", (spots(200, 200) // 16).astype(np.uint8), None),
    ],
)
def test_unusual_but_valid_images_succeed(ask, tmp_path, name, pixels, nuclei):
    answer = ask("run", "nuclei", draw(tmp_path / f"{name}.ome.tif", pixels), "--out", tmp_path / "out")

    assert answer["state"] == "succeeded", answer
    found = answer["images"][0]["summary"]["nuclei"]
    assert found == nuclei if nuclei is not None else found > 0


REFUSED = [
    (["rnu", "nuclei", "IMAGE"], "bad-request"),
    (["run", "nuclei", "IMAGE", "--outt", "OUT"], "bad-request"),
    (["run", "no-such-workflow", "IMAGE"], "unknown-workflow"),
    (["run", "nuclei", "/no/such/image.tif"], "image-not-found"),
    (["run", "nuclei", "IMAGE", "--param", "diameter=8"], "bad-parameter"),
    (["run", "nuclei", "IMAGE", "--param", "diameter_um=large"], "bad-parameter"),
    (["run", "nuclei", "IMAGE", "--param", "diameter_um=1000"], "bad-parameter"),
    (["run", "nuclei", "IMAGE", "--param", "diameter_um=nan"], "bad-parameter"),
    (["run", "nuclei", "IMAGE", "--param", "diameter_um"], "bad-parameter"),
    (["run", "nuclei", "IMAGE", "--channel", "0", "--param", "channel=1"], "bad-parameter"),
    (["run", "nuclei", "IMAGE", "--out", "/proc/nowhere"], "bad-request"),
    (["run", "nuclei", "IMAGE", "--pixel-size", "nan"], "bad-parameter"),
    (["run", "nuclei", "EMPTY", "--out", "OUT"], "nothing-selected"),
    (["run", "nuclei", "IMAGE", "WORDS", "--out", "OUT"], "not-an-image"),
    (["show", "no-such-run"], "unknown-run"),
    (["site", "check", "no-such-site"], "unknown-site"),
    (["workflow", "show", "no-such-workflow"], "unknown-workflow"),
    (["sample", "slide", "OUT", "--size", "big"], "bad-request"),
    (["sample", "slide", "OUT", "--density", "many"], "bad-request"),
    (["sample", "slide", "WORDS", "--size", "90x90"], "bad-request"),
    (["sample", "slide", "OUT", "--channels", "99"], "bad-slide"),
]


@pytest.mark.parametrize(("words", "code"), REFUSED, ids=[" ".join(words) for words, _ in REFUSED])
def test_a_request_that_makes_no_sense_is_refused_in_one_sentence(slidegate, tmp_path, words, code):
    image = draw(tmp_path / "image.ome.tif", spots(80, 90))
    empty = tmp_path / "empty"
    empty.mkdir()
    words_file = tmp_path / "words.txt"
    words_file.write_text("no image")
    given = [
        {"IMAGE": image, "OUT": tmp_path / "out", "EMPTY": empty, "WORDS": words_file}.get(word, word)
        for word in words
    ]

    done = slidegate(*given)

    assert done.returncode == 2, done
    assert f"[{code}]" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "out").exists()


def test_a_wrong_channel_fails_and_names_the_channels_that_there_are(slidegate, ask, tmp_path):
    image = tmp_path / "two.ome.tif"
    metadata = {
        "axes": "CYX",
        "Channel": {"Name": ["DAPI", "Ki67"]},
        "PhysicalSizeX": 0.3,
        "PhysicalSizeY": 0.3,
    }
    tifffile.imwrite(image, np.stack([spots(), spots()]), ome=True, metadata=metadata)

    wrong = ask("run", "nuclei", image, "--channel", "[/GFP]", "--out", tmp_path / "out")
    right = ask("run", "nuclei", image, "--channel", "Ki67", "--out", tmp_path / "out")

    assert wrong["images"][0]["error"]["code"] == "no-such-channel"
    assert "DAPI" in wrong["images"][0]["error"]["message"]
    assert "channel = [/GFP]" in slidegate("show", wrong["run"]).stdout
    assert right["images"][0]["summary"]["channel"] == 1


def test_a_killed_command_is_finished_by_the_same_command(ask, home, tmp_path):
    image = draw(tmp_path / "large.ome.tif", np.tile(spots(600, 600, 4), (4, 4)))
    arguments = ["run", "nuclei", str(image), "--out", str(tmp_path / "out"), "--param", "block_px=512"]
    environment = {**os.environ, "SLIDEGATE_HOME": str(home)}
    for pause in (0.8, 1.6, 2.4):
        with subprocess.Popen(
            [str(SLIDEGATE), *arguments], env=environment, stderr=subprocess.DEVNULL, start_new_session=True
        ) as process:
            time.sleep(pause)
            os.killpg(process.pid, signal.SIGKILL)

    answer = ask(*arguments)

    assert answer["state"] == "succeeded"
    assert answer["images"][0]["attempt"] == 1
    # what was half-written when it was killed is swept after a day
    assert [path.name for path in (tmp_path / "out").glob("[!.]*")] == ["large"]


def test_an_interrupted_command_says_so_and_what_to_do(ask, home, tmp_path):
    image = draw(tmp_path / "large.ome.tif", np.tile(spots(600, 600, 7), (4, 4)))
    arguments = ["run", "nuclei", str(image), "--out", str(tmp_path / "out"), "--param", "block_px=512"]
    environment = {**os.environ, "SLIDEGATE_HOME": str(home)}
    said = []
    for pause in (0.1, 0.4, 1.5):
        with subprocess.Popen(
            [str(SLIDEGATE), *arguments], env=environment, stderr=subprocess.PIPE, text=True
        ) as process:
            time.sleep(pause)
            process.send_signal(signal.SIGINT)
            said.append(process.communicate(timeout=60)[1])
        assert process.returncode in (0, 130), said
    for words in said[:2]:
        assert "[interrupted]" in words and "Traceback" not in words, said

    assert ask(*arguments)["state"] == "succeeded"


def test_two_commands_at_once_on_one_image_follow_one_run(home, tmp_path):
    image = draw(tmp_path / "shared.ome.tif", spots(500, 500, 5))
    command = [str(SLIDEGATE), "run", "nuclei", str(image), "--out", str(tmp_path / "out"), "--json"]
    environment = {**os.environ, "SLIDEGATE_HOME": str(home)}
    both = [
        subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    answers = [json.loads(process.communicate(timeout=200)[0]) for process in both]

    assert answers[0]["run"] == answers[1]["run"]
    assert [answer["state"] for answer in answers] == ["succeeded"] * 2
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["shared"]


def test_a_run_can_be_looked_at_logged_retried_and_deleted(slidegate, ask, tmp_path):
    image = draw(tmp_path / "seen.ome.tif", spots(seed=6))
    run = ask("run", "nuclei", image, "--out", tmp_path / "out")["run"]

    assert run[:8] in slidegate("runs").stdout
    assert ask("show", run[:8])["state"] == "succeeded"
    assert "detect" in slidegate("log", run[:8]).stdout
    assert slidegate("retry", run[:8]).returncode == 0
    assert slidegate("cancel", run[:8]).returncode == 0
    deleted = slidegate("delete", run[:8], "--results")
    assert deleted.returncode == 0 and "removed" in deleted.stdout
    assert list((tmp_path / "out").iterdir()) == []
    assert "[unknown-run]" in slidegate("show", run[:8]).stderr


def test_the_installation_says_that_it_is_well(slidegate):
    doctor = slidegate("doctor")
    assert doctor.returncode == 0, doctor.stdout
    assert "fault" not in doctor.stdout
    assert slidegate("--version").stdout.strip() in doctor.stdout
    check = slidegate("site", "check", "local")
    assert check.returncode == 0, check.stdout + check.stderr
    assert slidegate("clean", "--dry-run").returncode == 0
    assert "sensitivity" in slidegate("workflow", "show", "nuclei").stdout


def test_the_doctor_says_what_is_wrong_and_what_to_do(slidegate, tmp_path):
    doctor = slidegate("doctor", SLIDEGATE_WORKFLOWS_DIR=str(tmp_path / "nothing"))

    assert doctor.returncode == 1
    assert "No workflow lies in" in doctor.stdout
    assert "make install" in doctor.stdout
