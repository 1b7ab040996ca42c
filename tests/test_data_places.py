"""Pseudonyms as numbers find what a dictionary finds, also where they differ at the end only."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mim.data.places import PLACE, Names, Place, Places, write_places
from mim.errors import InputError

names = st.builds(
    "{}{:04x}".format,
    st.sampled_from(["0" * 16, "f" * 16, "00112233445566ff", "8000000000000000"]),
    st.integers(0, 40).map(lambda n: n * 1600),
)
"""Few beginnings, so that many names share their first 16 digits."""


@given(st.sets(names), st.lists(names, max_size=20))
def test_each_name_is_found_in_its_place_and_no_other(held, wanted):
    held = sorted(held)
    found = Names.of(pa.chunked_array([held], pa.string())).find(
        Names.of(pa.chunked_array([wanted[:3], wanted[3:]], pa.string()))
    )
    places = {name: place for place, name in enumerate(held)}
    assert found.tolist() == [places.get(name, -1) for name in wanted]


@given(st.sets(names, min_size=1), names)
def test_a_file_gives_back_what_was_written(tmp_path_factory, held, other):
    path = tmp_path_factory.mktemp("places") / "places.arrow"
    held = sorted(held)
    lying = np.zeros(len(held), PLACE)
    lying["shard"] = np.arange(len(held)) % 2
    lying["offset"] = np.arange(len(held)) << 32
    lying["length"] = np.arange(len(held)) + 1
    lying["checksum"] = 2**64 - 1 - np.arange(len(held), dtype=np.uint64)
    write_places(path, Names.of(pa.chunked_array([held])), ["even", "odd"], lying)
    found = Places(path)
    assert len(found) == len(held)
    for number, name in enumerate(held):
        shard = "odd" if number % 2 else "even"
        assert found.find(name) == Place(shard, number << 32, number + 1, 2**64 - 1 - number)
    assert (found.find(other) is None) is (other not in held)


def test_a_slice_of_a_table_is_read_as_it_is():
    """Arrow slices share the buffers of the whole."""
    held = pa.chunked_array([[f"{n:020x}" for n in range(100)]])
    assert Names.of(held.slice(40, 5)).text(0) == f"{40:020x}"


@pytest.mark.parametrize("name", ["", "abc", "g" * 20, "é" * 10, "0" * 21, " " * 10 + "0" * 10])
def test_what_is_no_pseudonym_is_refused(name):
    with pytest.raises(InputError, match="no pseudonym of 20 hexadecimal digits"):
        Names.of(pa.chunked_array([["0" * 20, name]]))


def test_a_file_that_would_not_change_is_left_alone(tmp_path):
    """Others have it mapped."""
    held = Names.of(pa.chunked_array([["0" * 20]]))
    lying = np.zeros(1, PLACE)
    inodes = []
    for length in (1, 1, 2):
        lying["length"] = length
        write_places(tmp_path / "places.arrow", held, ["a"], lying)
        inodes.append((tmp_path / "places.arrow").stat().st_ino)
    assert inodes[0] == inodes[1] != inodes[2]
    assert [path.name for path in tmp_path.iterdir()] == ["places.arrow"]
