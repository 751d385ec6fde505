"""Tables read back as written, whatever the locale."""

import locale

import numpy as np
import pytest

from skysift.errors import InputError
from skysift.storage.tables import read_table, spell_table, write_table

ROWS = [
    {"name": "gce, “smooth”", "mean": np.float64(1 / 3), "n": np.int64(4), "ok": True},
    {"name": "disk", "mean": float("nan"), "n": None},
]


def test_round_trip(tmp_path):
    write_table(tmp_path / "a.csv", ROWS, digits=6)
    first, second = read_table(tmp_path / "a.csv")
    assert first == {"name": "gce, “smooth”", "mean": "0.333333", "n": "4", "ok": "true"}
    assert second == {"name": "disk", "mean": "nan", "n": "", "ok": ""}
    assert b"\r" not in (tmp_path / "a.csv").read_bytes()


def test_columns_in_the_order_asked_for():
    assert spell_table([{"b": 1, "a": 2}], columns=("a", "b", "c")) == "a,b,c\n2,1,\n"
    with pytest.raises(ValueError, match="not in fieldnames"):
        spell_table([{"b": 1}], columns=("a",))


def test_decimal_comma_has_no_effect():
    before = locale.setlocale(locale.LC_NUMERIC)
    known = [name for name in ("de_DE.UTF-8", "fr_FR.UTF-8", "C.UTF-8") if _accepts(name)]
    try:
        assert "0.5" in spell_table([{"a": 0.5}]), known
    finally:
        locale.setlocale(locale.LC_NUMERIC, before)


def _accepts(name):
    try:
        locale.setlocale(locale.LC_NUMERIC, name)
    except locale.Error:
        return False
    return True


@pytest.mark.parametrize("content", [b"a,b\n1\n", b"a,b\n1,2,3\n", b"a\n\xff\xfe\n", b'a\n"open\n'])
def test_broken_tables_are_refused(tmp_path, content):
    (tmp_path / "a.csv").write_bytes(content)
    with pytest.raises(InputError):
        read_table(tmp_path / "a.csv")
