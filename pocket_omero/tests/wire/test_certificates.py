# SPDX-License-Identifier: GPL-2.0-or-later
"""Clients that check certificates trust the good one only; those that do not check trust them all."""

import stat

import Ice
import pytest
from cryptography import x509
from omero.clients import BaseClient
from pocket_omero.ice.certificates import KINDS, Authority
from pocket_omero.server import Server
from pocket_omero.testing import PEOPLE, fill

pytestmark = pytest.mark.slow  # a server starts


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    folder = tmp_path_factory.mktemp("certificates")
    fill(folder)
    with Server(folder) as started:
        yield started


def test_a_client_that_checks_logs_in_where_the_certificate_is_good(server):
    with server.client(*PEOPLE["member"]) as client:
        info = client.sf.ice_getConnection().getInfo()
        assert "GCM" in info.cipher or "CHACHA20" in info.cipher


def test_the_host_may_be_called_localhost_too(server):
    with server.client(*PEOPLE["member"], omero__host="localhost") as client:
        assert client.getSessionId()


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "good"])
def test_a_client_that_checks_refuses_what_is_wrong(server, kind):
    server.restart(certificate=kind)
    try:
        with pytest.raises((Ice.SecurityException, Ice.ProtocolException)):
            server.client(*PEOPLE["member"])
        careless = BaseClient(pmap={"omero.host": server.host, "omero.port": str(server.port)})
        careless.createSession(*PEOPLE["member"])
        careless.closeSession()
    finally:
        server.restart(certificate="good")


def test_a_client_that_trusts_nobody_refuses(server):
    with pytest.raises(Ice.SecurityException):
        server.client(*PEOPLE["member"], IceSSL__CAs="")


def test_no_connection_goes_without_tls(server):
    runtime = Ice.initialize(["--Ice.Override.ConnectTimeout=300"])
    try:
        proxy = runtime.stringToProxy(f"OMERO.Glacier2/router:tcp -h {server.host} -p {server.port}")
        with pytest.raises(Ice.LocalException):
            proxy.ice_ping()
    finally:
        runtime.destroy()


def test_the_authority_stays_and_its_key_is_for_its_owner_only(tmp_path):
    first = Authority(tmp_path / "ca").pem.read_bytes()
    again = Authority(tmp_path / "ca")
    assert again.pem.read_bytes() == first
    assert (
        x509.load_pem_x509_certificate(first)
        .extensions.get_extension_for_class(x509.BasicConstraints)
        .value.ca
    )
    for file in (again.folder / "ca.key", again.server("example.org")):
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
