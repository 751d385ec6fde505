"""YAML in and out: plain data only, one meaning for each value, and the same values when read back."""

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from skysift.config.merge import merge_documents
from skysift.config.reader import Document, read_yaml, read_yaml_text
from skysift.config.writer import config_digest, yaml_text
from skysift.errors import InputError


def read(text):
    return read_yaml_text(text, "a.yaml").data


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e3", 1000.0), ("1e-3", 0.001), ("1.0e+3", 1000.0), (".5", 0.5), ("3", 3), ("-3", -3), ("0", 0), ("0.5", 0.5),
        ("yes", True), ("off", False), ("True", True), ("~", None), ("", None), ("null", None), ("'1e3'", "1e3"),
        ('"012"', "012"), ("20 deg", "20 deg"), ("0.2 rad", "0.2 rad"), ("maybe", "maybe"), ("y", "y"), ("e3", "e3"),
        ("[1, [2, {b: 3}]]", [1, [2, {"b": 3}]]), ("{}", {}), ("1.2.3", "1.2.3"), ("1e", "1e"),
    ],
)  # fmt: skip
def test_a_value_has_its_type(text, value):
    found = read(f"a: {text}\n")["a"]
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    "text", ["012", "0o17", "0x1F", "2024-01-01", "2024-01-01 10:00:00", "1:30", "1_000", ".inf", "-.inf", ".nan"]
)
def test_a_value_with_two_meanings_is_refused_with_its_line(text):
    with pytest.raises(InputError) as caught:
        read(f"a: 1\nb:\n  c: {text}\n")
    assert caught.value.place == "a.yaml line 3"
    assert caught.value.field == "b.c"
    assert text in caught.value.found
    assert read(f"b: '{text}'\n") == {"b": text}


def test_keys_are_the_text_that_was_written():
    assert read("on: 1\n012: 2\nyes: 3\n") == {"on": 1, "012": 2, "yes": 3}


@pytest.mark.parametrize(
    ("text", "line", "found"),
    [
        ("a: 1\nb: 2\na: 3\n", 3, "'a' in line 1 and in line 3"),
        ("a:\n  b: 1\n  'b': 2\n", 3, "'b' in line 2 and in line 3"),
        ("a: {b: 1, b: 2}\n", 1, "'b' in line 1 and in line 1"),
        ("a: &x 1\nb: *x\n", 2, "alias *x"),
        ("a: {b: 1}\n<<: {c: 1}\n", 2, "merge key <<"),
        ("a: !!python/object/apply:os.system ['true']\n", 1, "tag tag:yaml.org,2002:python/object/apply:os.system"),
        ("a: !!str 1\n", 1, "tag tag:yaml.org,2002:str"),
        ("a: !mine {b: 1}\n", 1, "tag !mine"),
        ("a: 1\n---\nb: 2\n", 2, "a second document (---)"),
        ("[a]: 1\n", 1, "a list or mapping as a key"),
        ("{a: 1}: 1\n", 1, "a list or mapping as a key"),
        ("a: [1\n", 2, "parsing"),
        ("a: 1\n  b: 2\n", 2, "mapping values"),
        ("a: " + "[" * 60 + "]" * 60, 1, "more than 40 levels"),
    ],
)
def test_what_is_not_plain_is_refused_with_its_line(text, line, found):
    with pytest.raises(InputError) as caught:
        read(text)
    assert caught.value.place == f"a.yaml line {line}"
    assert found in caught.value.found


@pytest.mark.parametrize("text", ["", "# nothing\n", "- a\n", "just text\n", "a\0b: 1\n"])
def test_what_is_no_mapping_is_refused(text):
    with pytest.raises(InputError, match=r"a\.yaml"):
        read(text)


def test_lines_are_remembered_for_every_key(tmp_path):
    file = tmp_path / "a.yaml"
    file.write_text("\ufeffa:\n  b: [1,\n    2]\n", encoding="utf-8")
    document = read_yaml(file)
    assert document.place(("a", "b", 1)) == f"{file} line 3"
    assert document.place(("a", "c")) == f"{file} line 1"
    assert document.place(("z",)) == str(file)


def test_files_merge_deeply_and_lists_are_replaced():
    first = read_yaml_text("a: {b: 1, c: [1, 2]}\nd: 1\n", "first")
    second = read_yaml_text("a: {c: [3], e: 4}\nd:\n", "second")
    merged = merge_documents([first, second])
    assert merged.data == {"a": {"b": 1, "c": [3], "e": 4}, "d": None}
    assert first.data == {"a": {"b": 1, "c": [1, 2]}, "d": 1}
    assert merged.place(("a", "b")) == "first line 1"
    assert merged.place(("a", "c", 1)) == "second line 1"
    assert merge_documents([first, Document({"d": 2}, "command line")]).place(("d",)) == "first + command line"


scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(10**15), 10**15),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(st.characters(blacklist_categories=("Cs", "Cc")), max_size=20),
    st.sampled_from(
        ["1e3", "012", "yes", "null", "2024-01-01", "1:30", "~", "0x1F", "1_000", "20 deg", "- a", "a: b", "#"]
    ),
)
keys = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,10}", fullmatch=True)
trees = st.dictionaries(
    keys,
    st.recursive(
        scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=3), max_leaves=8
    ),
    max_size=4,
)


@given(trees.filter(bool))
def test_what_is_written_reads_back_to_the_same_values(tree):
    again = read(yaml_text(tree))
    assert again == tree
    assert config_digest(again) == config_digest(tree)
    assert repr(again) == repr(tree)


@given(trees.filter(bool))
def test_other_readers_see_the_same_text(tree):
    """What is text here is text for the library's own reader as well."""

    def kinds(value):
        if isinstance(value, dict):
            return [kind for key in value for kind in kinds(value[key])]
        if isinstance(value, list):
            return [kind for member in value for kind in kinds(member)]
        return [isinstance(value, str)]

    assert kinds(list(yaml.safe_load(yaml_text(tree)).values())) == kinds(list(tree.values()))


def test_the_digest_does_not_depend_on_the_order_of_keys():
    assert config_digest({"a": 1, "b": {"c": 2, "d": 3}}) == config_digest({"b": {"d": 3, "c": 2}, "a": 1})
    assert config_digest({"a": 1}) != config_digest({"a": 2})
