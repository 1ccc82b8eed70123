# SPDX-License-Identifier: GPL-2.0-or-later
"""What is known of OMERO's model comes from omero-py itself."""

import subprocess
import sys
import warnings

import pytest
from pocket_omero.ice.entities import UnknownEntity, entities, entity, is_a, java_name, subclasses
from pocket_omero.ice.slices import slices


def test_every_spelling_that_clients_use_names_the_same_entity():
    for name in (
        "Image",
        "image",
        "ImageI",
        "ome.model.core.Image",
        "omero.model.Image",
        "::omero::model::ImageI",
    ):
        assert entity(name).name == "Image"
    with pytest.raises(UnknownEntity, match="Nonsense"):
        entity("Nonsense")


def test_fields_are_scalars_references_and_collections():
    fields = entity("Image").fields
    assert (fields["name"].kind, fields["name"].of) == ("scalar", "rstring")
    assert (fields["fileset"].kind, fields["fileset"].of) == ("one", "Fileset")
    assert (fields["datasetLinks"].kind, fields["datasetLinks"].of) == ("many", "DatasetImageLink")
    assert entity("Pixels").fields["physicalSizeX"].of == "internal:Length"
    assert entity("MapAnnotation").fields["mapValue"].of == "internal:NamedValueList"
    assert not {"version", "id", "details"} & set(fields)


def test_derived_entities_live_in_the_table_of_their_ancestor_and_have_its_fields():
    tag = entity("TagAnnotation")
    assert tag.bases == ("TextAnnotation", "Annotation")
    assert tag.root == "Annotation"
    assert {"textValue", "ns"} <= set(tag.fields)
    assert {"Rectangle", "Polygon", "Mask", "Shape"} <= subclasses("Shape")
    assert is_a("Polygon", "Shape")
    assert not is_a("Shape", "Polygon")


def test_every_collection_knows_the_field_that_points_back():
    assert entity("Image").inverse["datasetLinks"] == ("DatasetImageLink", "child")
    assert entity("Dataset").inverse["imageLinks"] == ("DatasetImageLink", "parent")
    assert entity("Experimenter").inverse["groupExperimenterMap"] == ("GroupExperimenterMap", "child")
    assert entity("Annotation").inverse["annotationLinks"] == ("AnnotationAnnotationLink", "parent")
    for known in entities().values():
        for element, field in known.inverse.values():
            back = entity(element).fields[field]
            assert back.kind == "one"
            assert is_a(known.name, back.of) or is_a(back.of, known.name)


def test_java_names_are_those_of_the_server():
    assert java_name("Image") == "ome.model.core.Image"
    assert java_name("TagAnnotation") == "ome.model.annotations.TagAnnotation"
    assert java_name("Annotation") == "ome.model.annotations.Annotation"  # abstract
    assert java_name("Experimenter") == "ome.model.meta.Experimenter"
    assert all(java_name(name).startswith("ome.model.") for name in entities())


def test_the_model_agrees_with_the_classes_that_clients_send():
    import omero.all
    import omero.model

    for known in entities().values():
        python = getattr(omero.model, known.name + "I", None)
        if python is None:
            continue  # abstract
        with warnings.catch_warnings(record=True):  # two are deprecated
            made = python()
        for field in known.fields.values():
            member = f"_{field.name}Seq" if field.kind == "many" else f"_{field.name}"
            assert hasattr(made, member), f"{known.name}.{field.name}"


def test_operations_tell_whether_they_answer_later_and_how_many_values():
    query = slices().operations("::omero::api::IQuery")
    assert query["findByQuery"].asynchronous
    assert query["findByQuery"].answers == 1
    assert not query["findByQuery"].changes
    store = slices().operations("::omero::api::RawPixelsStore")
    assert store["setTile"].answers == 0
    assert "close" in store, "operations of the interfaces above are included"
    assert not slices().operations("::omero::api::ServiceFactory")["closeOnDestroy"].asynchronous


def test_reading_the_model_imports_neither_omero_nor_ice():
    code = (
        "import sys; from pocket_omero.ice.entities import entities; assert len(entities()) > 150;"
        "assert not {'omero', 'Ice', 'IcePy'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
