# SPDX-License-Identifier: BSD-3-Clause
"""Which OMERO.webs are believed, as an administrator types it."""

from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from slidegate.store import Store
from tests.unit.cli.test_secrets import Type, type_  # noqa: F401  (a fixture)


@pytest.fixture
def public(tmp_path: Path) -> Path:
    return written(tmp_path / "lab.pub", Ed25519PrivateKey.generate())


def written(path: Path, secret: Ed25519PrivateKey) -> Path:
    path.write_bytes(secret.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    return path


def test_an_omero_web_is_believed_listed_and_removed(type_: Type, public: Path, tmp_path: Path) -> None:  # noqa: F811
    assert "No OMERO.web is believed yet" in type_("omero", "web", "list")[1]
    assert type_("omero", "web", "add", "lab", public) == (0, "lab is believed from now on.\n")
    assert type_("omero", "web", "add", "lab", public) == (0, "lab was believed already.\n")
    code, said = type_("omero", "web", "list")
    assert code == 0
    assert "lab" in said
    assert public.read_text().splitlines()[1] in said  # to be compared with the file
    other = written(tmp_path / "other.pub", Ed25519PrivateKey.generate())
    code, said = type_("omero", "web", "add", "lab", other)
    assert (code, "omero-web-exists" in said) == (2, True)
    assert type_("omero", "web", "remove", "lab") == (0, "removed: lab; ended: 0 sessions and tokens\n")
    code, said = type_("omero", "web", "remove", "lab")
    assert (code, "unknown-omero-web" in said) == (2, True)
    store = Store.open(f"sqlite:///{tmp_path}/home/slidegate.db")
    assert [one.action for one in store.audit.page(None, 9, None)] == ["omero-web.remove", "omero-web.add"]
    store.close()


def test_what_is_no_public_key_of_an_omero_web_is_refused_in_words(type_: Type, tmp_path: Path) -> None:  # noqa: F811
    file = tmp_path / "key"
    private = Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    curve = generate_private_key(SECP256R1()).public_key()
    wrong = {
        private: "stays with OMERO.web",
        curve.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo): "Ed25519",
        b"ssh-ed25519 AAAA lab": "Ed25519",
        b"\xff": "no text",
        b"": "Ed25519",
    }
    for content, words in wrong.items():
        file.write_bytes(content)
        code, said = type_("omero", "web", "add", "lab", file)
        assert code == 2
        assert words in said
        assert "PRIVATE" not in said
    assert "No such file" in type_("omero", "web", "add", "lab", tmp_path / "nothing")[1]


@pytest.mark.parametrize("name", ["Lab", "", "../lab", "x" * 41])
def test_an_omero_web_has_a_plain_name(type_: Type, public: Path, name: str) -> None:  # noqa: F811
    code, said = type_("omero", "web", "add", name, public)
    assert (code, "bad-parameter" in said) == (2, True)


def test_people_of_omero_are_listed_as_such(type_: Type, tmp_path: Path) -> None:  # noqa: F811
    type_("person", "list")
    store = Store.open(f"sqlite:///{tmp_path}/home/slidegate.db")
    store.omero_people.signed_in(7, "ada", 1.0)
    store.omero_people.signed_in(7, "lovelace", 2.0)
    store.close()
    assert "by OMERO, as lovelace" in type_("person", "list")[1]
    assert "unknown-person" in type_("person", "omero", "grace", 7)[1]
    type_("person", "add", "grace", "--role", "lead")
    said = "Number 7 in OMERO is grace, and not ada any more.\n"
    assert type_("person", "omero", "grace", 7) == (0, said)
    assert "by OMERO, as lovelace" in type_("person", "list")[1]
    assert type_("person", "omero", "grace", 1)[0] == 2  # that is the guest
    type_("person", "add", "grace", "--role", "administrator")
    assert "by OMERO" not in type_("person", "list")[1]
    assert "signs in by a password" in type_("person", "omero", "grace", 7)[1]
