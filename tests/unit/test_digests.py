"""Digests of values: equal for equal values, different for any other."""

from pathlib import Path

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from contimg.digests import digest_of_arrays, digest_of_file, digest_of_value

SOME = arrays.arrays(np.float64, arrays.array_shapes(max_dims=3, max_side=4))


@given(SOME)
def test_layout_in_memory_does_not_count(values: np.ndarray) -> None:
    expected = digest_of_arrays([("x", values)])
    assert digest_of_arrays([("x", np.asfortranarray(values))]) == expected
    assert digest_of_arrays([("x", np.repeat(values, 2, axis=0)[::2])]) == expected


@given(SOME, st.data())
def test_any_changed_value_counts(values: np.ndarray, data: st.DataObject) -> None:
    changed = values.copy()
    place = data.draw(st.integers(0, values.size - 1))
    changed.flat[place] = 1.0 if changed.flat[place] != 1.0 else 2.0
    assert digest_of_arrays([("x", changed)]) != digest_of_arrays([("x", values)])


def test_name_type_shape_and_order_count() -> None:
    values = np.arange(6.0)
    others = [
        [("y", values)], [("x", values.astype(np.float32))], [("x", values.reshape(2, 3))],
        [("x", values), ("x", values)], [("x", values[::-1])],
    ]  # fmt: skip
    digests = {digest_of_arrays(one) for one in [[("x", values)], *others]}
    assert len(digests) == 6


def test_text_in_object_arrays_is_digested_by_value() -> None:
    one, same = np.array(["a", "b"], dtype=object), np.array(["a", "".join("b")], dtype=object)
    assert digest_of_arrays([("x", one)]) == digest_of_arrays([("x", same)])
    assert digest_of_arrays([("x", one)]) != digest_of_arrays([("x", one[::-1])])


def test_order_of_keys_does_not_count() -> None:
    assert digest_of_value({"a": 1, "b": [2.0]}) == digest_of_value({"b": [2.0], "a": 1})
    assert digest_of_value({"a": 1}) != digest_of_value({"a": 2})


def test_files_by_their_bytes(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"x")
    (tmp_path / "b").write_bytes(b"x")
    (tmp_path / "c").write_bytes(b"y")
    a, b, c = (digest_of_file(tmp_path / name) for name in "abc")
    assert a == b != c
