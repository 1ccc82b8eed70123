# SPDX-License-Identifier: GPL-2.0-or-later
"""Certificates from an authority of its own: a good one, and bad ones for tests."""

import ipaddress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal, get_args

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import pkcs12
from cryptography.x509.oid import NameOID

__all__ = ["KINDS", "PASSWORD", "Authority", "Kind"]

Kind = Literal["good", "expired", "wrong-host", "self-signed"]
KINDS: tuple[Kind, ...] = get_args(Kind)
# Of the PKCS#12 files: IceSSL takes none without. They are as secret as the folder is.
PASSWORD = "pocket"  # noqa: S105
_OTHER_HOST = "omero.elsewhere.example"


class Authority:
    """A certificate authority in a folder, made when missing.

    Parameters
    ----------
    folder
        Gets `ca.pem` (for clients: IceSSL.CAs), its key, and the servers' certificates.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.pem = folder / "ca.pem"
        key_file = folder / "ca.key"
        if self.pem.exists() and key_file.exists():
            self._certificate = x509.load_pem_x509_certificate(self.pem.read_bytes())
            self._key = _loaded(key_file)
        else:
            self._key = ec.generate_private_key(ec.SECP256R1())
            self._certificate = _signed("pocket OMERO's authority", self._key, None, [], authority=True)
            _keep(key_file, _text(self._key))
            _keep(self.pem, self._certificate.public_bytes(serialization.Encoding.PEM))

    def server(self, host: str, kind: Kind = "good") -> Path:
        """The PKCS#12 file of a server's certificate and key, made anew each time.

        Parameters
        ----------
        host
            The name or address that clients use; localhost is always good too.
        kind
            "good", or what is wrong with it.
        """
        names = (
            [_OTHER_HOST] if kind == "wrong-host" else list(dict.fromkeys([host, "localhost", "127.0.0.1"]))
        )
        key = ec.generate_private_key(ec.SECP256R1())
        issuer = None if kind == "self-signed" else (self._certificate, self._key)
        certificate = _signed(names[0], key, issuer, names, expired=kind == "expired")
        chain = None if kind == "self-signed" else [self._certificate]
        locked = serialization.BestAvailableEncryption(PASSWORD.encode())
        file = self.folder / f"{kind}.p12"
        _keep(file, pkcs12.serialize_key_and_certificates(b"pocket-omero", key, certificate, chain, locked))
        return file


def _signed(
    name: str,
    key: ec.EllipticCurvePrivateKey,
    issuer: tuple[x509.Certificate, ec.EllipticCurvePrivateKey] | None,
    hosts: list[str],
    *,
    authority: bool = False,
    expired: bool = False,
) -> x509.Certificate:
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    begin, end = (
        (now - timedelta(days=30), now - timedelta(days=1)) if expired else (now, now + timedelta(3650))
    )
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer[0].subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begin - timedelta(hours=1))
        .not_valid_after(end)
        .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
    )
    if hosts:
        builder = builder.add_extension(
            x509.SubjectAlternativeName([_name(h) for h in hosts]), critical=False
        )
    return builder.sign(issuer[1] if issuer else key, hashes.SHA256())


def _name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _text(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _loaded(file: Path) -> ec.EllipticCurvePrivateKey:
    key = serialization.load_pem_private_key(file.read_bytes(), None)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise ValueError(f"{file} is no key of this authority")
    return key


def _keep(file: Path, content: bytes) -> None:
    """Write a file that nobody else may read, whole or not at all."""
    part = file.with_suffix(file.suffix + ".part")
    part.unlink(missing_ok=True)
    part.touch(mode=0o600)
    part.write_bytes(content)
    part.replace(file)
