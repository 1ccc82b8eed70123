# SPDX-License-Identifier: BSD-3-Clause
"""Pixels and regions come out of OMERO whole, though OMERO and networks fail, and nothing else does."""

import socket
import threading
import time

import numpy as np
import pytest
import tifffile
from slidegate_analysis.images import open_image

from slidegate.domain.errors import SlidegateError
from slidegate.domain.values import ImageRef

pytestmark = [pytest.mark.omero, pytest.mark.slow]

PIXELS = np.random.default_rng(8).integers(0, 60_000, (2, 700, 900), np.uint16)
PEOPLE = """\
groups: {lab: read-annotate, second: read-only, other: private}
people:
  alice: {password: secret-a, groups: [lab, second], leads: [lab]}
  bob: {password: secret-b, groups: [lab]}
  carol: {password: secret-c, groups: [other, second]}
  root: {password: secret-r}
projects:
  Work:
    owner: alice
    group: lab
    datasets: {Slides: ["slides/*"]}
  Closed:
    owner: carol
    group: other
    datasets: {Private: ["private/*"]}
  Shared:
    owner: carol
    group: second
    datasets: {Shared: ["shared/*"]}
"""


@pytest.fixture(scope="module")
def pocket_omero(pocket_omero_at, tmp_path_factory):
    folder = tmp_path_factory.mktemp("slides")
    for name in ("slides", "private", "shared"):
        (folder / name).mkdir()
    slides = folder / "slides"
    (folder / "people.yml").write_text(PEOPLE)
    metadata = {"axes": "CYX", "Channel": {"Name": ["DAPI", "GFP"]}, "Name": "Jane Doe 1950-01-01"}
    with tifffile.TiffWriter(slides / "whole.ome.tif", ome=True) as file:
        file.write(PIXELS, subifds=1, tile=(256, 256), metadata=metadata)
        file.write(PIXELS[:, ::2, ::2], subfiletype=1, tile=(256, 256))
    tifffile.imwrite(slides / "stack.tif", np.zeros((3, 8, 9), "u2"), imagej=True, metadata={"axes": "ZYX"})
    tifffile.imwrite(slides / "times.tif", np.zeros((4, 8, 9), "u2"), imagej=True, metadata={"axes": "TYX"})
    tifffile.imwrite(slides / "real.tif", np.zeros((8, 9), "f4"))
    tifffile.imwrite(slides / "colour.tif", np.zeros((8, 9, 3), "u1"), photometric="rgb")
    tifffile.imwrite(slides / "glass [macro image].tif", np.zeros((8, 9), "u1"))
    tifffile.imwrite(slides / "glass [label image].tif", np.zeros((8, 9), "u1"))
    tifffile.imwrite(folder / "private" / "private.tif", np.zeros((8, 9), "u1"))
    tifffile.imwrite(folder / "shared" / "shared.tif", PIXELS[0])
    return pocket_omero_at(folder)


@pytest.fixture
def server(pocket_omero):
    from slidegate.sources.omero.connection import Server

    return Server(pocket_omero.host, pocket_omero.port, pocket_omero.server.authority)


@pytest.fixture
def small_tiles(monkeypatch):
    from slidegate.sources.omero import pixels

    monkeypatch.setattr(pixels, "TILE", 128)


@pytest.fixture
def source(pocket_omero, server):
    from slidegate.sources.omero.connection import Connection
    from slidegate.sources.omero.source import OmeroSource

    source = OmeroSource(lambda: Connection.login(server, *pocket_omero.person()), patience_s=20)
    yield source
    source.close()


@pytest.fixture
def images(pocket_omero):
    """The ids of the images by the beginnings of their names."""
    query = "select i.id, i.name from Image i"
    with pocket_omero.client("admin") as client:
        rows = client.sf.getQueryService().projection(query, None, {"omero.group": "-1"})
    return {row[1].val: row[0].val for row in rows}


def image(images, begin):
    [found] = [number for name, number in images.items() if name.startswith(begin)]
    return ImageRef("omero", str(found))


def same(folder):
    staged = open_image(folder)
    for c, plane in enumerate(PIXELS):
        np.testing.assert_array_equal(staged.read(c, 0, plane.shape[0], 0, plane.shape[1]), plane)


def refused(action):
    with pytest.raises(SlidegateError) as caught:
        action()
    assert str(caught.value).endswith(".")
    return caught.value.code


# ---- what goes wrong for a while


def test_tiles_that_fail_are_asked_for_again(source, images, tmp_path, small_tiles, pocket_omero_faults):
    pocket_omero_faults.set(tile_failures=7)
    source.stage(image(images, "whole"), tmp_path / "staged")
    assert pocket_omero_faults.tile_failures == 0
    same(tmp_path / "staged")


@pytest.mark.parametrize("after", [0, 1, 9])
def test_a_connection_that_is_lost_is_made_again(
    source, images, tmp_path, small_tiles, pocket_omero_faults, after
):
    ref = image(images, "whole")
    pocket_omero_faults.set(drop_after=after, drop_on="RawPixelsStore.getTile")
    source.stage(ref, tmp_path / "staged")
    assert pocket_omero_faults.drop_after is None
    same(tmp_path / "staged")


def test_a_server_that_never_sends_a_tile_is_asked_over_a_new_connection(
    source, images, tmp_path, small_tiles, pocket_omero_faults, monkeypatch
):
    from slidegate.sources.omero import lanes

    monkeypatch.setattr(lanes, "_ANSWER_S", 0.4)
    pocket_omero_faults.set(delay={"RawPixelsStore.getTile": 3.0})
    threading.Timer(0.3, pocket_omero_faults.clear).start()
    begin = time.monotonic()
    source.stage(image(images, "whole"), tmp_path / "staged")
    assert time.monotonic() - begin < 3
    same(tmp_path / "staged")


@pytest.mark.parametrize("how", ["restart", "expire_sessions", "drop_connections"])
def test_pixels_come_whole_though_omero_loses_everybody_in_between(
    source, images, tmp_path, small_tiles, pocket_omero, pocket_omero_faults, how
):
    ref = image(images, "whole")
    calls = pocket_omero.server.house.calls
    before = calls.made["RawPixelsStore.getTile"]
    pocket_omero_faults.set(tile_delay=0.05)
    staging = threading.Thread(target=source.stage, args=(ref, tmp_path / "staged"))
    staging.start()
    until = time.monotonic() + 20
    while calls.made["RawPixelsStore.getTile"] < before + 10 and time.monotonic() < until:
        time.sleep(0.01)
    getattr(pocket_omero.server, how)()
    pocket_omero_faults.set(tile_delay=0.0)
    staging.join(60)
    same(tmp_path / "staged")


def test_what_fails_for_longer_than_the_patience_ends_in_words_and_leaves_nothing(
    server, images, tmp_path, pocket_omero, pocket_omero_faults
):
    from slidegate.sources.omero.connection import Connection
    from slidegate.sources.omero.source import OmeroSource

    source = OmeroSource(lambda: Connection.login(server, *pocket_omero.person()), patience_s=0.5)
    pocket_omero_faults.set(tile_failures=-1)
    (tmp_path / "place").mkdir()
    code = refused(lambda: source.stage(image(images, "whole"), tmp_path / "place" / "staged"))
    source.close()
    assert code == "omero-busy"
    assert list((tmp_path / "place").iterdir()) == []


def test_a_session_that_ended_for_good_is_told_at_once(
    server, images, tmp_path, pocket_omero, pocket_omero_faults, small_tiles
):
    from slidegate.sources.omero.connection import Connection
    from slidegate.sources.omero.source import OmeroSource

    with pocket_omero.client() as client:
        key = client.getSessionId()
        source = OmeroSource(lambda: Connection.join(server, key))
        assert source.describe(image(images, "whole")).channels == ("DAPI", "GFP")
        pocket_omero.server.expire_sessions(pocket_omero.person()[0])
        begin = time.monotonic()
        assert (
            refused(lambda: source.stage(image(images, "whole"), tmp_path / "staged")) == "omero-session-gone"
        )
        assert time.monotonic() - begin < 5


# ---- who may, and where to


def test_a_session_that_was_joined_lives_on_and_one_that_was_begun_ends(server, pocket_omero):
    from slidegate.sources.omero.connection import Connection

    with pocket_omero.client() as client:
        with Connection.join(server, client.getSessionId()) as joined, joined.again() as again:
            assert again.key == joined.key
            assert joined.person == pocket_omero.person()[0]
        assert client.sf.getConfigService().getVersion()
    with Connection.login(server, *pocket_omero.person()) as begun:
        key = begun.key
    assert refused(lambda: Connection.join(server, key)) == "omero-session-gone"


def test_no_session_is_left_after_staging(source, images, tmp_path, pocket_omero):
    before = len(pocket_omero.server.house.sessions.all())
    source.stage(image(images, "whole"), tmp_path / "staged")
    assert len(pocket_omero.server.house.sessions.all()) == before + 1  # for the next question
    source.close()
    assert len(pocket_omero.server.house.sessions.all()) == before


def test_questions_share_one_connection_and_survive_its_loss(source, images, pocket_omero):
    ref = image(images, "whole")
    made = pocket_omero.server.house.calls.made
    source.describe(ref)
    before = made["ServiceFactory.setCallback"]  # each login does this once
    fingerprint = source.fingerprint(ref)
    assert source.describe(ref).name == "whole.ome.tif"
    assert before == made["ServiceFactory.setCallback"] > 0
    for lose in ("drop_connections", "expire_sessions", "restart"):
        getattr(pocket_omero.server, lose)()
        assert source.fingerprint(ref) == fingerprint


@pytest.mark.parametrize("kind", ["expired", "wrong-host", "self-signed"])
def test_a_certificate_that_is_not_trusted_is_told_and_no_password_sent(server, pocket_omero, kind):
    from slidegate.sources.omero.connection import Connection

    pocket_omero.server.restart(certificate=kind)
    try:
        code = refused(lambda: Connection.login(server, *pocket_omero.person()))
    finally:
        pocket_omero.server.restart(certificate="good")
    assert code == "omero-certificate"


def test_without_certificates_of_its_own_those_of_the_computer_count(server, pocket_omero):
    from slidegate.sources.omero.connection import Connection, Server

    stranger = Server(server.host, server.port)
    assert refused(lambda: Connection.login(stranger, *pocket_omero.person())) == "omero-certificate"


def test_an_omero_that_does_not_answer_is_told(server, pocket_omero):
    from slidegate.sources.omero.connection import Connection, Server

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        nobody = Server("127.0.0.1", taken.getsockname()[1], server.ca)
        assert refused(lambda: Connection.login(nobody, "alice", "secret-a")) == "omero-unreachable"
    unknown = Server("omero.invalid", 4064, server.ca)
    assert refused(lambda: Connection.login(unknown, "alice", "secret-a")) == "omero-unreachable"


def test_a_wrong_password_and_a_wrong_key_are_told(server):
    from slidegate.sources.omero.connection import Connection

    assert refused(lambda: Connection.login(server, "alice", "guessed")) == "omero-login-refused"
    assert refused(lambda: Connection.join(server, "0" * 36)) == "omero-session-gone"


def test_what_the_person_may_not_see_is_not_there(source, images):
    assert refused(lambda: source.describe(image(images, "private"))) == "omero-not-found"


def test_images_of_others_in_a_group_that_only_reads_are_read_without_changing_groups(
    source, images, tmp_path
):
    source.stage(image(images, "shared"), tmp_path / "staged")
    staged = open_image(tmp_path / "staged")
    np.testing.assert_array_equal(staged.read(0, 0, 700, 0, 900), PIXELS[0])
    assert source.describe(image(images, "whole")).shape == PIXELS.shape


def test_what_omero_does_not_permit_is_told(source, images, tmp_path, pocket_omero_faults):
    pocket_omero_faults.set(fail={"RawPixelsStore.setPixelsId": "SecurityViolation"})
    code = refused(lambda: source.stage(image(images, "whole"), tmp_path / "staged"))
    assert code == "omero-not-permitted"


# ---- which images


def relabel(pocket_omero, ref, old, new):
    from omero.rtypes import rstring

    with pocket_omero.client() as client:
        channel = client.sf.getQueryService().findByQuery(
            "select c from Channel c join fetch c.logicalChannel join fetch c.pixels p "
            f"where p.image.id = {ref.image} and c.logicalChannel.name = '{old}'",
            None,
        )
        channel.logicalChannel.name = rstring(new)
        client.sf.getUpdateService().saveObject(channel.logicalChannel)


def test_an_image_that_is_changed_while_it_is_staged_is_not_staged(source, images, tmp_path, pocket_omero):
    ref = image(images, "whole")
    (tmp_path / "place").mkdir()

    def change(done, total):
        if done == total:
            relabel(pocket_omero, ref, "GFP", "RFP")

    try:
        code = refused(lambda: source.stage(ref, tmp_path / "place" / "staged", change))
    finally:
        relabel(pocket_omero, ref, "RFP", "GFP")
    assert code == "image-changed"
    assert list((tmp_path / "place").iterdir()) == []


def test_what_was_staged_is_not_given_up_for_a_moment_in_which_omero_does_not_answer(
    source, images, tmp_path, pocket_omero_faults
):
    def fail(done, total):
        if done == total:
            pocket_omero_faults.set(fail={"IQuery.*": "ResourceError"})
            threading.Timer(0.5, pocket_omero_faults.clear).start()

    source.stage(image(images, "whole"), tmp_path / "staged", fail)
    same(tmp_path / "staged")


def test_images_that_cannot_be_analysed_are_refused_in_words(source, images):
    told = {
        "stack": "image-plane-needed",
        "times": "image-plane-needed",
        "real": "pixels-unsupported",
        "colour": "image-brightfield",
        "glass [macro": "omero-label-image",
        "glass [label": "omero-label-image",
    }
    assert {name: refused(lambda n=name: source.describe(image(images, n))) for name in told} == told


def test_photographs_of_labels_and_glasses_are_not_listed(source, images, pocket_omero):
    with pocket_omero.client() as client:
        found = client.sf.getQueryService().findByQuery("select p from Project p where p.name = 'Work'", None)
    listed = {int(ref.image) for ref in source.find(f"project/{found.id.val}")}
    assert listed == {
        number for name, number in images.items() if not name.startswith(("glass", "private", "shared"))
    }


def test_one_plane_of_a_stack_is_named_behind_the_number(source, images):
    ref = image(images, "stack")
    chosen = ImageRef("omero", f"{ref.image}#z=2")
    with pytest.raises(SlidegateError, match=r"it has 3 focal planes"):
        source.describe(ref)
    assert source.find(f"image/{ref.image}#z=2") == [chosen]
    assert source.describe(chosen).shape == (1, 8, 9)
    assert refused(lambda: source.describe(ImageRef("omero", f"{ref.image}#z=3"))) == "image-no-such-plane"
    assert source.fingerprint(chosen) != source.fingerprint(ImageRef("omero", f"{ref.image}#z=1"))


@pytest.mark.parametrize("where", ["", "12a", "../12", "dataset/", "plate/1", "image/12/3", "-1", "9" * 30])
def test_what_is_no_name_of_an_image_is_refused_without_asking(where):
    from slidegate.sources.omero.source import OmeroSource

    def connect():
        raise AssertionError("OMERO was asked")

    assert refused(lambda: OmeroSource(connect).find(where)) == "omero-not-found"


# ---- what comes along


def test_no_name_and_no_description_comes_along(source, images, tmp_path):
    source.stage(image(images, "whole"), tmp_path / "staged")
    for file in tmp_path.rglob("*"):
        assert "whole" not in file.name
        if file.is_file():
            assert not any(word in file.read_bytes() for word in (b"Doe", b"1950", b"whole", b"alice"))


def test_an_image_that_is_renamed_stays_the_same_and_one_whose_channel_is_renamed_does_not(
    source, images, pocket_omero
):
    from omero.rtypes import rstring

    ref = image(images, "whole")
    before = source.fingerprint(ref), source.content_digest(ref)
    with pocket_omero.client() as client:
        update, query = client.sf.getUpdateService(), client.sf.getQueryService()
        found = query.get("Image", int(ref.image))
        name, found.name = found.name, rstring("renamed")
        update.saveObject(found)
        assert (source.fingerprint(ref), source.content_digest(ref)) == before
        found = query.get("Image", int(ref.image))
        found.name = name
        update.saveObject(found)
    relabel(pocket_omero, ref, "GFP", "RFP")
    assert source.describe(ref).channels == ("DAPI", "RFP")
    after = source.fingerprint(ref), source.content_digest(ref)
    relabel(pocket_omero, ref, "RFP", "GFP")
    assert not set(after) & set(before)


def test_the_digest_of_an_imported_image_takes_no_pixel(source, images, pocket_omero):
    made = pocket_omero.server.house.calls.made
    before = made["RawPixelsStore.getTile"]
    source.content_digest(image(images, "whole"))
    assert made["RawPixelsStore.getTile"] == before


def test_an_overview_reads_the_coarser_level_that_omero_has(source, images, pocket_omero):
    found = source.overview(image(images, "whole"), 400)
    coarse = PIXELS[:, ::2, ::2].astype(float)
    assert found.pixels.shape == (2, 311, 400)
    assert found.pixels.mean() == pytest.approx(coarse.mean(), rel=1e-3)


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("C:\\scans\\Müller\\7.svs", "7.svs"),
        ("/data/../../etc/passwd", "passwd"),
        ("two\nlines\x07 \u202e", "two lines"),
        ("///", None),
    ],
)
def test_nasty_names_become_one_line_without_a_path(source, pocket_omero, name, told):
    with pocket_omero.gateway() as conn:
        made = conn.createImageFromNumpySeq(iter([np.zeros((8, 9), np.uint8)]), name)
        number = made.getId()
    assert source.describe(ImageRef("omero", str(number))).name == (told or f"image {number}")


# ---- regions


def test_regions_are_read_as_they_were_drawn_and_those_of_results_are_left_out(
    source, server, images, pocket_omero
):
    import omero.model as model
    from omero.rtypes import rdouble, rint, rstring

    from slidegate.sources.omero.connection import Connection
    from slidegate.sources.omero.regions import read_regions

    number = int(image(images, "whole").image)

    def draw(client, x, label="", tag="", description="", z=None):
        shape = model.RectangleI()
        for field, value in (("x", x), ("y", 10), ("width", 20), ("height", 30)):
            setattr(shape, field, rdouble(value))
        shape.textValue = rstring(label)
        shape.theZ = None if z is None else rint(z)
        roi = model.RoiI()
        roi.image = model.ImageI(number, False)
        roi.description = rstring(description)
        roi.addShape(shape)
        if tag:
            note = model.TagAnnotationI()
            note.textValue = rstring(tag)
            roi.linkAnnotation(note)
        client.sf.getUpdateService().saveObject(roi)

    def read():
        with Connection.login(server, *pocket_omero.person()) as connection:
            group = connection.query(
                "select i.details.group.id from Image i where i.id = :id", {"id": number}
            )
            return read_regions(connection, number, group[0][0], PIXELS.shape[1:])

    assert read() == []
    before = source.fingerprint(ImageRef("omero", str(number)))
    with pocket_omero.client() as client:
        draw(client, 5, "tissue")
        draw(client, 100, "hole")
        draw(client, 15, tag="Exclude")
        draw(client, 200, "object 7", description="slidegate run=run-0123456789 task=task-0")
        draw(client, 300, "elsewhere", z=4)
        [region] = read()
        assert (region.name, region.holes) == ("tissue", ())
        assert set(region.outline) == {(10.0, 5.0), (10.0, 15.0), (40.0, 15.0), (40.0, 5.0)}
        draw(client, 240, "", tag="Stroma")
        assert [(one.name, one.kind) for one in read()] == [("", "Stroma"), ("tissue", "")]
        point, line = model.PointI(), model.PolylineI()
        point.x = point.y = rdouble(3)
        line.points = rstring("1,1 2,5 9,9")
        for shape in (point, line):
            roi = model.RoiI()
            roi.image = model.ImageI(number, False)
            roi.addShape(shape)
            client.sf.getUpdateService().saveObject(roi)
            if shape is point:
                assert len(read()) == 2
    assert refused(read) == "omero-region-unusable"
    assert source.fingerprint(ImageRef("omero", str(number))) == before  # it is the same image
