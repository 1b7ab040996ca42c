"""What the rows of an index depend on besides the files: if it changes, all are read anew."""

from hashlib import blake2b
from importlib.resources import files

from mim.ingest.settings import Check

HEADERS = ("dicom", "schemas/images.py", "vocab.py")
PIXELS = (*HEADERS, "image", "ingest/check.py")


def rules_id(key: bytes, check: Check) -> str:
    """Sixteen hexadecimal digits of the key of the pseudonyms, the check and the code of the rules.

    The code is hashed as it stands, since a version raised by hand would once be forgotten and the
    rows of two sets of rules mixed in silence.
    """
    digest = blake2b(check.encode(), key=key, digest_size=8)
    for name in PIXELS if check == Check.pixels else HEADERS:
        place = files("mim").joinpath(name)
        modules = [place] if place.is_file() else list(place.iterdir())
        for module in sorted(modules, key=lambda module: module.name):
            if module.name.endswith(".py"):
                digest.update(f"{module.name}\0".encode())
                digest.update(module.read_bytes())
    return digest.hexdigest()
