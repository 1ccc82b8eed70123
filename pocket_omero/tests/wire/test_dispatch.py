# SPDX-License-Identifier: GPL-2.0-or-later
"""A call does what it says, or is refused in words: never a silent None."""

import logging

import omero
import omero.all
import pytest
from pocket_omero.errors import Forbidden
from pocket_omero.ice.dispatch import (
    STATEFUL,
    STATELESS,
    Service,
    operations,
    stateful,
    stateless,
    translated,
)

from pocket_omero import services

pytestmark = pytest.mark.slow  # a server starts


def test_what_nobody_wrote_is_refused_with_its_name_in_the_log_and_counted(pocket_omero, caplog):
    house = pocket_omero.server.house
    with (
        pocket_omero.client() as client,
        caplog.at_level(logging.WARNING),
        pytest.raises(omero.InternalException) as refused,
    ):
        client.sf.getShareService().getOwnShares(True)
    assert "IShare.getOwnShares" in refused.value.message
    assert "IShare.getOwnShares is not supported" in caplog.text
    assert house.calls.refused["IShare.getOwnShares"] == 1
    assert house.calls.made["IShare.getOwnShares"] == 1


def test_no_servant_has_a_method_that_was_generated_to_do_nothing():
    services.make_known()
    for kind in {*STATELESS.values(), *STATEFUL.values()}:
        for operation in operations(kind).values():
            method = getattr(kind, operation.name + ("_async" if operation.asynchronous else ""))
            assert method.__module__ == "pocket_omero.ice.dispatch", f"{kind.__name__}.{operation.name}"


def test_what_a_servant_supports_is_an_operation_of_its_interface():
    services.make_known()
    for kind in {*STATELESS.values(), *STATEFUL.values()}:
        written = {name.removeprefix("do_") for name in dir(kind) if name.startswith("do_")}
        assert written <= set(operations(kind)), f"{kind.__name__} answers to what nobody can ask"


def test_names_that_omero_does_not_have_are_no_services():
    assert stateless("omero.api.INonsense") is None
    assert stateful("Nonsense") is None
    assert stateful("IQuery") is None, "it has no state of its own"


def test_an_unknown_service_is_refused(pocket_omero):
    with pocket_omero.client() as client:
        with pytest.raises(omero.ApiUsageException):
            client.sf.getByName("omero.api.INonsense")
        with pytest.raises(omero.ApiUsageException):
            client.sf.createByName("omero.api.Nonsense")


def test_an_error_that_nobody_foresaw_is_an_exception_of_omero_with_the_trace_in_the_log(caplog):
    try:
        raise ZeroDivisionError("by nothing")
    except ZeroDivisionError as error:
        made = translated(error, "IQuery.get")
    assert isinstance(made, omero.InternalException)
    assert "IQuery.get" in made.message
    assert "ZeroDivisionError" in made.serverStackTrace
    assert "Traceback" in caplog.text


def test_an_error_that_was_foreseen_becomes_the_one_of_omero_that_it_names():
    made = translated(Forbidden("not yours"), "IUpdate.saveObject")
    assert isinstance(made, omero.SecurityViolation)
    assert made.message == "not yours"


def test_exceptions_of_omero_pass_as_they_are():
    error = omero.LockTimeout("", "", "wait", 0, 3)
    assert translated(error, "x") is error


def test_a_class_gets_its_methods_from_the_slice_files():
    class Ldap(Service, omero.api.ILdap):
        def do_findDN(self, name, current):
            return name

    assert Ldap.supported()["findDN"]
    assert not Ldap.supported()["findGroupDN"]
    assert Ldap.interface == "ILdap"
