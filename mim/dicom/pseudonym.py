"""Keyed pseudonyms: the same identifier and key give the same name, and no way leads back."""

import os
import secrets
from hashlib import blake2b
from pathlib import Path

from mim.errors import InputError

KEY_BYTES = 32


def pseudonym(kind: str, identifier: str, key: bytes) -> str:
    """20 hexadecimal digits (80 bits) of keyed BLAKE2b (RFC 7693).

    ``kind`` (woman, exam, image) is hashed too, so that equal identifiers of different kinds do not
    share a name. Two of six million names collide with a probability of about 1e-11.
    """
    message = f"{kind}\0{identifier}".encode("utf-8", "surrogatepass")
    return blake2b(message, key=key, digest_size=10).hexdigest()


def load_key(path: Path) -> bytes:
    """The secret key in ``path``: one line of 64 hexadecimal digits.

    Raises:
        InputError: there is no such file, or it holds no key.
    """
    try:
        key = bytes.fromhex(path.read_text("ascii").strip())
    except OSError as error:
        raise InputError(
            f"{path}: key of the pseudonyms cannot be read: {error.strerror}"
        ) from None
    except ValueError:
        key = b""
    if len(key) != KEY_BYTES:
        raise InputError(
            f"{path}: no key of pseudonyms; expected one line of {2 * KEY_BYTES} hexadecimal digits"
        )
    return key


def load_or_make_key(path: Path) -> bytes:
    """The key in ``path``; made at random, readable by its owner only, where there is none.

    Of two processes that make it at once one wins, and both return the winner's.
    """
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}.unfinished")
        descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(f"{secrets.token_hex(KEY_BYTES)}\n")
        try:
            # A link, unlike a rename, never replaces a key that another process made meanwhile.
            os.link(unfinished, path)
        except FileExistsError:
            pass
        finally:
            unfinished.unlink()
    return load_key(path)
