# SPDX-License-Identifier: AGPL-3.0-or-later
"""The key of an OMERO.web, and what it signs."""

import subprocess
import sys

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from omero_slidegate.keys import Person, make_key, public_key, read_key, statement
from omero_slidegate.problems import KeyUnusable


def test_a_key_is_made_once_and_only_its_account_can_read_it(tmp_path):
    file = tmp_path / "key"
    made = public_key(make_key(file))
    assert file.stat().st_mode & 0o777 == 0o600
    assert public_key(make_key(file)) == made
    assert made.startswith("-----BEGIN PUBLIC KEY-----\n")
    assert "PRIVATE" not in made


@pytest.mark.slow
def test_the_command_prints_the_public_half_alone(tmp_path):
    command = [sys.executable, "-P", "-m", "omero_slidegate", "key", str(tmp_path / "key")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout == public_key(read_key(tmp_path / "key"))
    assert "omero.web.slidegate.key_file" in done.stderr
    refused = subprocess.run(
        [*command[:-1], str(tmp_path / "no" / "key")], capture_output=True, text=True, check=False
    )
    assert (refused.returncode, "cannot be written" in refused.stderr) == (1, True)


def test_a_statement_says_who_is_logged_in_for_a_minute_and_is_a_new_one_each_time(tmp_path):
    key = make_key(tmp_path / "key")
    one, other = (statement(key, "omero-web", Person(7, "alice")) for _ in range(2))
    said = jwt.decode(one, public_key(key), algorithms=["EdDSA"], audience="slidegate")
    assert (said["iss"], said["sub"], said["name"]) == ("omero-web", "7", "alice")
    assert 0 < said["exp"] - said["iat"] <= 60
    again = jwt.decode(other, public_key(key), algorithms=["EdDSA"], audience="slidegate")
    assert said["jti"] != again["jti"]


def test_what_is_no_key_of_ours_is_refused_in_words(tmp_path):
    file = tmp_path / "key"
    with pytest.raises(KeyUnusable, match="cannot be read"):
        read_key(file)
    make_key(file)
    file.chmod(0o640)
    with pytest.raises(KeyUnusable, match="Other accounts can read"):
        read_key(file)
    file.chmod(0o600)
    file.write_text("nothing")
    with pytest.raises(KeyUnusable, match="holds no key"):
        read_key(file)
    other = generate_private_key(65537, 2048)
    file.write_bytes(other.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    with pytest.raises(KeyUnusable, match="another kind"):
        make_key(file)


def test_a_link_that_somebody_put_there_is_not_followed(tmp_path):
    (tmp_path / "key").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(KeyUnusable):
        make_key(tmp_path / "key")
    assert not (tmp_path / "elsewhere").exists()
