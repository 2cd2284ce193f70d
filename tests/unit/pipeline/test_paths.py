import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbpipeline.location import is_url
from nbpipeline.model import PathValue
from nbpipeline.pipeline.paths import Places, leaves, mapped, parents, plain, shaped_like

NESTED = st.recursive(
    st.text(min_size=1) | st.builds(PathValue, st.text(min_size=1)),
    lambda inner: st.lists(inner) | st.lists(inner).map(tuple) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)


@given(NESTED)
def test_a_mapped_value_keeps_shape_and_types(value):
    assert mapped(value, str) == value
    assert [str(one) for one in leaves(mapped(value, str.upper))] == [
        str(one).upper() for one in leaves(value)
    ]


@given(NESTED)
def test_a_plain_value_takes_its_types_back_from_its_model(value):
    assert not [one for one in leaves(plain(value)) if isinstance(one, PathValue)]
    assert shaped_like(plain(value), value) == value


def test_a_value_of_another_shape_than_its_model_keeps_its_own():
    assert shaped_like("a", ["b"]) == "a"
    assert shaped_like(["a"], PathValue("b")) == ["a"]
    assert shaped_like({"eu": "a"}, PathValue("b")) == {"eu": "a"}
    assert shaped_like(PathValue("a"), "b") == "a"
    assert shaped_like(["a", "b"], (PathValue("x"), "y")) == (PathValue("a"), "b")


@pytest.mark.parametrize("value", [1, None, ["a", 2.0], {"a": True}])
def test_what_is_no_path_is_refused(value):
    with pytest.raises(ValueError, match=r"^(1|None|2\.0|True) is no path$"):
        list(leaves(value))


def test_parents_are_the_folders_above():
    assert list(parents("a/b/c.csv")) == ["a/b", "a"]
    assert list(parents("/a/b")) == ["/a"]
    assert list(parents("a")) == []


@pytest.mark.parametrize(
    ("text", "base", "path"),
    [
        ("../data/x.csv", "notebooks", "data/x.csv"),
        ("x.csv", "", "x.csv"),
        ("./a//b/../x.csv", "n", "n/a/x.csv"),
        ("/p/root/data/x", "notebooks", "data/x"),
        ("/p/rooted/x", "notebooks", "/p/rooted/x"),
        ("../../x", "notebooks", "/p/x"),
        ("../../root/x", "notebooks", "x"),
        ("..", "notebooks", "."),
        ("s3://bucket/../x", "notebooks", "s3://bucket/../x"),
        ("shards/", "", "shards"),
        ("-x ä'\"", "", "-x ä'\""),
    ],
)
def test_project_paths(text, base, path):
    assert Places("/p/root").project_path(text, base) == path


@pytest.mark.parametrize(
    ("path", "folder", "seen"),
    [
        ("data/x", "notebooks", "../data/x"),
        ("data/x", "", "data/x"),
        ("notebooks/x", "notebooks", "x"),
        ("x", "a/b", "../../x"),
        ("/far/x", "notebooks", "/far/x"),
        ("s3://b/x", "notebooks", "s3://b/x"),
    ],
)
def test_kernel_paths(path, folder, seen):
    places = Places("/p/root")
    assert places.kernel_path(path, folder) == seen
    assert places.project_path(seen, folder) == path


def test_links_are_followed_to_the_place_that_they_name(root, tmp_path):
    (root / "real").mkdir()
    (root / "inner").symlink_to("real")
    (root / "outer").symlink_to(tmp_path)
    (root / "file").symlink_to(root / "real" / "x")
    places = Places(str(root))
    assert places.key("inner/x") == places.key("real/x") == places.key("file") == "real/x"
    assert places.outside("outer/x")
    assert not places.outside("inner/x")
    assert not places.outside("https://example.org/x")
    assert places.key("s3://bucket/folder/") == "s3://bucket/folder"


def test_a_notebooks_folder_that_is_a_link_leads_its_dots_where_the_kernel_goes(root, tmp_path):
    (tmp_path / "elsewhere" / "books").mkdir(parents=True)
    (root / "notebooks").symlink_to(tmp_path / "elsewhere" / "books")
    assert Places(str(root)).project_path("../x", "notebooks") == str(tmp_path / "elsewhere" / "x")


def test_what_is_there(root):
    (root / "x").touch()
    places = Places(str(root))
    assert places.exists("x")
    assert not places.exists("y")
    assert places.exists("s3://bucket/x")
    assert is_url("s3://bucket/x")
    assert not is_url("c:/x")
