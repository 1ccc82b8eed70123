# SPDX-License-Identifier: GPL-2.0-or-later
"""Libraries that people use on top of omero-py, unmodified: ezomero, omero-rois."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import omero
import pytest
from omero.gateway import BlitzGateway
from pocket_omero.testing import Omero

from .world import World

pytestmark = [pytest.mark.omero, pytest.mark.slow]
ezomero_only = [pytest.mark.needs("ezomero"), pytest.mark.client("ezomero")]
rois_only = [pytest.mark.needs("omero-rois", "scikit-image"), pytest.mark.client("omero-rois")]


@pytest.fixture(scope="module")
def conn(place: Omero) -> Iterator[BlitzGateway]:
    with place.gateway() as opened:
        yield opened


@pytest.fixture(scope="module")
def world(conn: BlitzGateway) -> World:
    return World.make(conn)


class TestEzomero:
    pytestmark = ezomero_only

    def test_it_connects(self, place: Omero) -> None:
        import ezomero

        name, password = place.person("member")
        conn = ezomero.connect(name, password, host=place.host, port=place.port, group="", secure=True)
        assert conn.getUser().getName() == name
        conn.close()

    def test_projects_datasets_and_images_are_made_and_found(self, conn: BlitzGateway) -> None:
        import ezomero

        project = ezomero.post_project(conn, "ez project", "what for")
        dataset = ezomero.post_dataset(conn, "ez dataset", project)
        pixels = np.arange(20 * 30 * 2 * 3, dtype=np.uint16).reshape(1, 3, 20, 30, 2)
        image = ezomero.post_image(conn, pixels, "ez image", dataset_id=dataset, dim_order="tzyxc")
        assert project in ezomero.get_project_ids(conn)
        assert ezomero.get_dataset_ids(conn, project=project) == [dataset]
        assert ezomero.get_image_ids(conn, dataset=dataset) == [image]
        _, back = ezomero.get_image(conn, image)
        assert np.array_equal(back, pixels)

    def test_a_part_of_an_image_is_read(self, conn: BlitzGateway, world: World) -> None:
        import ezomero

        _, whole = ezomero.get_image(conn, world.image)
        _, part = ezomero.get_image(
            conn, world.image, start_coords=(5, 6, 1, 0, 0), axis_lengths=(10, 12, 2, 1, 1)
        )
        assert np.array_equal(part, whole[:, 1:3, 6:18, 5:15, :1])

    @pytest.mark.pocket
    def test_a_level_of_a_pyramid_is_read(self, conn: BlitzGateway) -> None:
        import ezomero

        [image] = conn.getObjects("Image", attributes={"name": "slide.tif"})
        levels = ezomero.get_pyramid_levels(conn, image.getId())
        assert len(levels) == 4
        assert (levels[0], levels[3]) == ((4800, 3600), (600, 450))
        _, small = ezomero.get_image(conn, image.getId(), pyramid_level=3)
        assert small.shape[2:4] == (450, 600)

    def test_key_value_pairs_are_kept(self, conn: BlitzGateway, world: World) -> None:
        import ezomero

        number = ezomero.post_map_annotation(conn, "Image", world.image, {"gene": "TP53"}, ns="ez.pairs")
        assert ezomero.get_map_annotation_ids(conn, "Image", world.image, ns="ez.pairs") == [number]
        assert ezomero.get_map_annotation(conn, number) == {"gene": ["TP53"]} or ezomero.get_map_annotation(
            conn, number
        ) == {"gene": "TP53"}
        assert ezomero.filter_by_kv(conn, [world.image, world.second], "gene", "TP53") == [world.image]

    def test_comments_are_kept(self, conn: BlitzGateway, world: World) -> None:
        import ezomero

        number = ezomero.post_comment_annotation(conn, "Image", world.image, "well done", ns="ez.words")
        assert ezomero.get_comment_annotation_ids(conn, "Image", world.image, ns="ez.words") == [number]
        assert ezomero.get_comment_annotation(conn, number) == "well done"

    def test_files_are_kept(self, conn: BlitzGateway, world: World, tmp_path: Path) -> None:
        import ezomero

        (tmp_path / "sent.txt").write_text("sent")
        number = ezomero.post_file_annotation(
            conn, str(tmp_path / "sent.txt"), "ez.file", "Image", world.image
        )
        assert ezomero.get_file_annotation_ids(conn, "Image", world.image, ns="ez.file") == [number]
        back = ezomero.get_file_annotation(conn, number, folder_path=str(tmp_path / "back"))
        assert Path(back).read_text() == "sent"

    def test_regions_are_kept(self, conn: BlitzGateway, world: World) -> None:
        import ezomero
        from ezomero.rois import Ellipse, Polygon, Rectangle

        shapes = [
            Rectangle(1.0, 2.0, 3.0, 4.0, z=0, label="box"),
            Ellipse(5.0, 5.0, 2.0, 1.0),
            Polygon([(0.0, 0.0), (4.0, 0.0), (4.0, 4.0)]),
        ]
        roi = ezomero.post_roi(conn, world.image, shapes, name="ez", description="three")
        assert roi in ezomero.get_roi_ids(conn, world.image)
        back = [ezomero.get_shape(conn, number) for number in ezomero.get_shape_ids(conn, roi)]
        assert {type(one) for one in back} == {Rectangle, Ellipse, Polygon}
        [box] = [one for one in back if isinstance(one, Rectangle)]
        assert (box.x, box.y, box.width, box.height, box.label) == (1.0, 2.0, 3.0, 4.0, "box")

    @pytest.mark.needs("pandas", "tables")
    def test_a_data_frame_becomes_a_table(self, conn: BlitzGateway, world: World) -> None:
        import ezomero
        import pandas

        frame = pandas.DataFrame({"n": [1, 2], "x": [0.5, 1.5], "name": ["a", "b"]})
        number = ezomero.post_table(conn, frame, "Image", world.image, title="ez")
        pandas.testing.assert_frame_equal(ezomero.get_table(conn, number), frame, check_dtype=False)

    def test_tags_filter_images(self, conn: BlitzGateway, world: World) -> None:
        import ezomero

        tag = omero.gateway.TagAnnotationWrapper(conn)
        tag.setValue(f"ez {world.name}")
        tag.save()
        conn.getObject("Image", world.second).linkAnnotation(tag)
        images = [world.image, world.second]
        assert ezomero.filter_by_tag_value(conn, images, f"ez {world.name}") == [world.second]
        assert tag.getId() in ezomero.get_tag_ids(conn, "Image", world.second)

    def test_people_and_groups_are_found(self, conn: BlitzGateway, place: Omero) -> None:
        import ezomero

        assert ezomero.get_user_id(conn, place.person("member")[0]) == conn.getUser().getId()
        name = conn.getGroupFromContext().getName()
        assert ezomero.get_group_id(conn, name) == conn.getGroupFromContext().getId()

    def test_images_are_linked_to_a_dataset(self, conn: BlitzGateway, world: World) -> None:
        import ezomero

        dataset = ezomero.post_dataset(conn, "ez links")
        ezomero.link_images_to_dataset(conn, [world.image, world.second], dataset)
        assert ezomero.get_image_ids(conn, dataset=dataset) == sorted([world.image, world.second])


class TestOmeroRois:
    pytestmark = rois_only

    def test_a_label_image_becomes_masks_and_labels_again(self, conn: BlitzGateway, world: World) -> None:
        from omero_rois import masks_from_label_image, masks_to_labels

        labels = np.zeros((48, 64), np.int64)
        labels[4:12, 5:20], labels[20:30, 30:50] = 1, 2
        for mask in masks_from_label_image(labels, rgba=(255, 0, 0, 128), z=0, c=0, t=0):
            roi = omero.model.RoiI()
            roi.setImage(omero.model.ImageI(world.second, False))
            roi.addShape(mask)
            conn.getUpdateService().saveObject(roi)
        found = conn.getRoiService().findByImage(world.second, None).rois
        masks = [shape for roi in found for shape in roi.copyShapes()]
        image, _, _ = masks_to_labels(masks, (1, 1, 1, 48, 64))
        assert np.array_equal(np.squeeze(image) > 0, labels > 0)

    @pytest.mark.xfail(
        strict=True,
        raises=AttributeError,
        reason="omero-rois 0.4.1 calls the polygon and the function that draws it by one name",
    )
    def test_polygons_become_pixels(self, conn: BlitzGateway, world: World) -> None:
        from omero_rois import shape_to_binary_image

        polygon = omero.model.PolygonI()
        polygon.points = omero.rtypes.rstring("2,2 12,2 12,9 2,9")
        roi = omero.model.RoiI()
        roi.setImage(omero.model.ImageI(world.third, False))
        roi.addShape(polygon)
        conn.getUpdateService().saveObject(roi)
        [back] = conn.getRoiService().findByImage(world.third, None).rois
        pixels, _ = shape_to_binary_image(back.copyShapes()[0])
        assert 60 <= pixels.sum() <= 90
