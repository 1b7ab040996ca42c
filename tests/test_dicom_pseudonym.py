"""Pseudonyms: repeatable, keyed, and a key that is made once."""

import hashlib
import hmac
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mim.dicom.pseudonym import load_key, load_or_make_key, pseudonym
from mim.errors import InputError

KEY = bytes(range(32))


def test_a_pseudonym_is_keyed_blake2b_of_kind_and_identifier() -> None:
    expected = hashlib.blake2b(b"woman\x001234", digest_size=10, key=KEY).hexdigest()
    assert hmac.compare_digest(pseudonym("woman", "1234", KEY), expected)
    assert len(expected) == 20


def test_kind_identifier_and_key_all_count() -> None:
    names = {
        pseudonym(kind, identifier, key)
        for kind in ("woman", "exam", "image")
        for identifier in ("1", "2")
        for key in (KEY, KEY[::-1])
    }
    assert len(names) == 12


@given(st.text())
def test_any_identifier_has_one(identifier: str) -> None:
    name = pseudonym("woman", identifier, KEY)
    assert len(bytes.fromhex(name)) == 10
    assert identifier == "" or len(identifier) < 4 or identifier not in name


def test_a_key_is_made_once_for_its_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "new" / "pseudonym.key"
    key = load_or_make_key(path)
    assert len(key) == 32
    assert load_or_make_key(path) == load_key(path) == key
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [file.name for file in path.parent.iterdir()] == ["pseudonym.key"]
    assert load_or_make_key(tmp_path / "other.key") != key


def test_many_at_once_get_the_same_key(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        keys = set(pool.map(load_or_make_key, [tmp_path / "pseudonym.key"] * 32))
    assert len(keys) == 1


def test_a_key_made_meanwhile_by_another_process_wins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "pseudonym.key"

    def slow_randomness(length: int) -> str:
        path.write_text(KEY.hex())
        return "00" * length

    monkeypatch.setattr("secrets.token_hex", slow_randomness)
    assert load_or_make_key(path) == load_key(path) == KEY
    assert [file.name for file in tmp_path.iterdir()] == ["pseudonym.key"]


@pytest.mark.parametrize("content", ["", "secret", "00" * 31, "zz" * 32])
def test_a_file_without_a_key_is_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "key"
    path.write_text(content)
    with pytest.raises(InputError, match="64 hexadecimal digits"):
        load_key(path)


def test_a_missing_key_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        load_key(tmp_path / "key")
