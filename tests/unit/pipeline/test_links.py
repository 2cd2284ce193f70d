"""Which instances there are, which paths they get, which wait for which."""

import itertools
import time
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from spec_builders import artifact, expression, project, stage

from nbpipeline.model import Edge, Override, Parameter, PathValue
from nbpipeline.pipeline import build


def made(*stages, overrides=(), **more):
    pipeline, complaints = build(project(*stages, **more), overrides)
    assert [str(one) for one in complaints] == []
    return pipeline


def pairs(pipeline):
    return [(edge.upstream, edge.downstream) for edge in pipeline.edges]


# --- links -----------------------------------------------------------------------------------


def test_a_path_links_whatever_its_spelling():
    pipeline = made(
        stage("a", outputs={"x": "../data/./sub/../x.csv"}),
        stage("b", inputs={"x": "/nowhere/project/data/x.csv"}),
        stage("c", inputs={"x": ["../data/x.csv", "../data/other.csv"]}),
    )
    assert pipeline.edges == (
        Edge(upstream="a", downstream="b", kind="data", path="data/x.csv"),
        Edge(upstream="a", downstream="c", kind="data", path="data/x.csv"),
    )
    assert pipeline.upstream("c") == pipeline.edges[1:]
    assert pipeline.downstream("a") == pipeline.edges


def test_a_file_in_a_written_folder_and_a_folder_that_others_write_in_link_too():
    pipeline = made(
        stage("shards", outputs={"all": "../d/shards/"}),
        stage("one", inputs={"x": "../d/shards/1.csv"}),
        stage("left", outputs={"x": "../e/left"}),
        stage("right", outputs={"x": "../e/deep/right"}),
        stage("both", inputs={"x": "../e"}),
        stage("apart", inputs={"x": "../d/shards2"}),
    )
    assert pairs(pipeline) == [("shards", "one"), ("left", "both"), ("right", "both")]
    assert pipeline.upstream("both")[0].path == "e"


def test_urls_link_by_their_text():
    pipeline = made(
        stage("a", outputs={"x": "s3://bucket/x"}),
        stage("b", inputs={"x": "s3://bucket/x"}),
        stage("c", inputs={"x": "s3://bucket/y"}),
    )
    assert pairs(pipeline) == [("a", "b")]
    assert pipeline.instances["b"].inputs[0].value == "s3://bucket/x"


def test_after_is_order_and_dependencies_more():
    pipeline = made(stage("a", after=["b"], dependencies=["c"]), stage("b"), stage("c"))
    assert list(pipeline.instances) == ["b", "c", "a"]
    assert [(edge.upstream, edge.kind) for edge in pipeline.edges] == [("b", "after"), ("c", "dependency")]


def test_after_a_stage_with_the_same_axis_means_the_same_value():
    axes = {"region": ["eu", "us"]}
    pipeline = made(stage("a", matrix=axes), stage("b", matrix=axes, after=["a"]), stage("c", after=["b"]))
    assert pairs(pipeline) == [
        ("a[region=eu]", "b[region=eu]"),
        ("a[region=us]", "b[region=us]"),
        ("b[region=eu]", "c"),
        ("b[region=us]", "c"),
    ]


def test_updates_are_chained_in_their_order_and_readers_follow_the_last():
    update = {"outputs": {"db": "../x.db"}, "modes": {"db": "update"}}
    pipeline = made(
        stage("reader", inputs={"db": "../x.db"}),
        stage("second", inputs={"db": "../x.db"}, after=["first"], **update),
        stage("between", inputs={"db": "../x.db"}, after=["first"]),
        stage("first", **update),
        stage("third", after=["second", "between"], **update),
        stage("create", outputs={"db": "../x.db"}),
    )
    data = [(edge.upstream, edge.downstream) for edge in pipeline.edges if edge.kind == "data"]
    assert sorted(data) == [
        ("create", "first"),
        ("first", "second"),
        ("second", "between"),
        ("second", "third"),
        ("third", "reader"),
    ]


UPDATE = {"outputs": {"db": "../x.db"}, "modes": {"db": "update"}}


def test_updates_that_a_stage_between_orders():
    pipeline = made(
        stage("second", after=["between"], **UPDATE),
        stage("between", after=["first"]),
        stage("first", **UPDATE),
    )
    assert [pair for pair in pairs(pipeline) if "between" not in pair] == [("first", "second")]


def test_the_first_that_updates_what_it_reads_waits_for_none():
    pipeline = made(
        stage("first", inputs={"db": "../x.db"}, **UPDATE),
        stage("second", inputs={"db": "../x.db"}, after=["first"], **UPDATE),
        stage("third", inputs={"db": "../x.db"}, after=["second"], **UPDATE),
    )
    data = [(edge.upstream, edge.downstream) for edge in pipeline.edges if edge.kind == "data"]
    assert sorted(data) == [("first", "second"), ("second", "third")]


def test_one_alone_updates_what_it_reads():
    assert made(stage("first", inputs={"db": "../x.db"}, **UPDATE)).edges == ()


def test_the_instances_of_one_stage_update_in_the_order_of_the_matrix():
    pipeline = made(
        stage("load", matrix={"n": [3, 1, 2]}, outputs={"db": "../x.db"}, modes={"db": "update"}),
        stage("read", inputs={"db": "../x.db"}),
    )
    assert pairs(pipeline) == [("load[n=3]", "load[n=1]"), ("load[n=1]", "load[n=2]"), ("load[n=2]", "read")]


def test_ties_go_by_the_order_of_the_stages():
    assert list(made(stage("z"), stage("a"), stage("m", after=["a"])).instances) == ["z", "a", "m"]


# --- matrices --------------------------------------------------------------------------------


def test_a_grid_spans_several_stages():
    pipeline = made(
        stage("clean", outputs={"c": "../d/{region}.csv"}, matrix={"region": ["eu", "us"]}),
        stage(
            "train",
            inputs={"c": "@clean.c"},
            outputs={"m": "../m/{region}-{depth}"},
            matrix={"depth": [3, 5]},
        ),
        stage("score", inputs={"m": "../m/{region}-{depth}"}, outputs={"s": "../s/{region}-{depth}"}),
        stage("report", inputs={"s": "@score[*].s", "c": "@clean[*].c"}),
    )
    assert [one for one in pipeline.instances if one.startswith("score")] == [
        "score[depth=3,region=eu]",
        "score[depth=3,region=us]",
        "score[depth=5,region=eu]",
        "score[depth=5,region=us]",
    ]
    one = pipeline.instances["train[depth=5,region=us]"]
    assert dict(one.axes) == {"depth": 5, "region": "us"}
    assert one.parameters == {"depth": 5, "region": "us"}
    assert one.inputs[0].value == "../d/us.csv"
    assert one.outputs[0].paths == ("m/us-5",)
    report = pipeline.instances["report"]
    collected, cleaned = report.inputs
    assert cleaned.value == {"eu": "../d/eu.csv", "us": "../d/us.csv"}
    assert sorted(collected.value) == ["3,eu", "3,us", "5,eu", "5,us"]
    assert sorted(collected.paths) == ["s/eu-3", "s/eu-5", "s/us-3", "s/us-5"]
    assert len(pipeline.upstream("report")) == 6


def test_a_path_made_of_a_parameter_inherits_the_axis_of_its_maker_alone():
    """`region = "eu"` in the consumer's own cell lets it run by itself; in the pipeline the axis counts."""
    pipeline = made(
        stage("train", outputs={"m": "../m/{region}"}, matrix={"region": ["eu", "us"]}),
        stage("score", inputs={"m": "../m/{region}"}, params={"region": "eu"}),
        stage("other", inputs={"m": "../elsewhere/{region}"}, params={"region": "eu"}),
    )
    assert sorted(pipeline.instances) == [
        "other",
        "score[region=eu]",
        "score[region=us]",
        "train[region=eu]",
        "train[region=us]",
    ]
    assert pipeline.instances["score[region=us]"].injections[0].values == {"region": "us", "m": "../m/us"}


def test_axes_pass_through_a_chain_whatever_the_order_of_the_stages():
    pipeline = made(
        stage("c", inputs={"x": "@b.x"}, outputs={"x": "../c/{n}"}),
        stage("b", inputs={"x": "../a/{n}"}, outputs={"x": "../b/{n}"}),
        stage("a", outputs={"x": "../a/{n}"}, matrix={"n": [1, 2]}),
    )
    assert sorted(pipeline.instances) == ["a[n=1]", "a[n=2]", "b[n=1]", "b[n=2]", "c[n=1]", "c[n=2]"]


def test_a_consumer_may_take_fewer_values_than_its_maker_has():
    pipeline = made(
        stage("a", outputs={"x": "../a/{n}"}, matrix={"n": [1, 2, 3]}),
        stage("b", inputs={"x": "@a.x"}, matrix={"n": [3]}),
    )
    assert pairs(pipeline) == [("a[n=3]", "b[n=3]")]


AXES = st.dictionaries(
    st.sampled_from(["region", "year", "kind"]),
    st.lists(st.integers(0, 99), min_size=1, max_size=4, unique=True),
    min_size=1,
    max_size=3,
)


@given(AXES)
def test_a_matrix_is_the_cartesian_product(axes):
    path = "../m/" + "-".join(f"{{{axis}}}" for axis in axes)
    pipeline = made(
        stage("train", matrix=axes, outputs={"m": path}),
        stage("score", inputs={"m": "@train.m"}, outputs={"s": path.replace("m", "s", 1)}),
        stage("all", inputs={"s": "@score[*].s"}),
    )
    product = [dict(zip(axes, values, strict=True)) for values in itertools.product(*axes.values())]
    for name in ("train", "score"):
        found = [dict(one.axes) for one in pipeline if one.spec.name == name]
        assert found == product
    assert len(pipeline.instances["all"].inputs[0].value) == len(product)
    assert len(pipeline.edges) == 2 * len(product)


# --- random pipelines --------------------------------------------------------------------------


@st.composite
def dags(draw):
    """Stages whose inputs are outputs of stages with smaller numbers, some by path, some by name, shuffled."""
    size = draw(st.integers(1, 8))
    feeds = {}
    stages = []
    for number in range(size):
        feeds[number] = sorted(draw(st.sets(st.integers(0, number - 1), max_size=4))) if number else []
        by_name = draw(st.booleans())
        links = draw(st.sets(st.sampled_from(feeds[number]))) if feeds[number] and draw(st.booleans()) else ()
        stages.append(
            stage(
                f"s{number}",
                inputs={
                    f"i{one}": f"@s{one}.o" if by_name else f"../d/{one}.csv"
                    for one in feeds[number]
                    if one not in links
                },
                outputs={"o": f"../d/{number}.csv"},
                after=[f"s{one}" for one in sorted(links)],
            )
        )
    return draw(st.permutations(stages)), feeds


@given(dags())
def test_links_are_exactly_those_declared_and_order_respects_them(drawn):
    stages, feeds = drawn
    pipeline = made(*stages)
    assert set(pairs(pipeline)) == {(f"s{one}", f"s{number}") for number, of in feeds.items() for one in of}
    place = {one: number for number, one in enumerate(pipeline.instances)}
    assert all(place[edge.upstream] < place[edge.downstream] for edge in pipeline.edges)
    assert len(pipeline.instances) == len(stages)


@given(dags())
def test_building_is_deterministic(drawn):
    stages, _ = drawn
    one, other = made(*stages), made(*stages)
    assert list(one.instances) == list(other.instances)
    assert one == other


@given(dags(), st.data())
def test_an_edge_back_is_always_found_as_a_circle_with_a_true_path(drawn, data):
    stages, feeds = drawn
    last = max(feeds)
    first = data.draw(st.integers(0, last))
    target = f"s{first}"
    closed = [
        replace(one, inputs=(*one.inputs, artifact("back", f"../d/{last}.csv", one.where)))
        if one.name == target
        else one
        for one in stages
    ]
    reaches = {first}
    for number in range(first + 1, last + 1):
        if set(feeds[number]) & reaches:
            reaches.add(number)
    pipeline, complaints = build(project(*closed))
    if last not in reaches:
        assert pipeline is not None
        return
    assert pipeline is None
    text = str(complaints[0])
    path = text.partition("go in a circle: ")[2].partition(".\n")[0].split(" -> ")
    assert path[0] == path[-1]
    edges = {(f"s{one}", f"s{number}") for number, of in feeds.items() for one in of} | {(f"s{last}", target)}
    assert all(step in edges for step in itertools.pairwise(path))


# --- parameters, values, injections -------------------------------------------------------------


def test_precedence_of_parameters():
    train = stage("train", params={"C": 1.0, "depth": 3, "kind": "l2"}, settings={"C": 0.5, "depth": 4})
    options = [
        Override(stage="train", name="C", text="0.1"),
        Override(stage=None, name="C", text="9"),
    ]
    assert made(train).instances["train"].parameters == {"C": 0.5, "depth": 4, "kind": "l2"}
    assert made(train, overrides=options).instances["train"].parameters["C"] == 0.1


def test_an_override_reaches_every_stage_that_declares_the_name_by_its_own_type():
    pipeline = made(
        stage("a", params={"year": 2013}),
        stage("b", params={"year": "2013"}),
        stage("c"),
        overrides=[Override(stage=None, name="year", text="2014")],
    )
    assert [one.parameters.get("year") for one in pipeline] == [2014, "2014", None]


def test_only_what_differs_is_injected():
    plain = stage("a", params={"C": 1.0, "n": 1})
    assert made(plain).instances["a"].injections == ()
    changed = made(plain, overrides=[Override(stage="a", name="n", text="2")]).instances["a"]
    assert [(one.after, dict(one.values)) for one in changed.injections] == [(2, {"n": 2})]


def test_a_value_of_another_type_differs():
    changed = made(stage("a", params={"C": True}, settings={"C": True})).instances["a"]
    assert changed.injections == ()
    changed = made(stage("a", params={"C": 1.0}, settings={"C": 1})).instances["a"]
    assert dict(changed.injections[0].values) == {"C": 1}


def test_names_of_the_header_alone_come_after_the_last_declaring_cell_else_after_the_header():
    with_cell = made(stage("a", params={"C": 1.0}, outputs={"m": "../m"})).instances["a"]
    assert [(one.after, dict(one.values)) for one in with_cell.injections] == [(2, {"m": "../m"})]
    without = made(stage("a", outputs={"m": "../m"})).instances["a"]
    assert [one.after for one in without.injections] == [1]


def in_cell(name, value, cell, where, **more):
    return artifact(name, value, where, cell=cell, cell_value=expression(value), **more)


def test_cells_are_followed_under_what_was_injected_before_them():
    """The outputs cell makes its path of `year`; once `year` is injected it gives the right path by itself."""
    plain = stage("a", params={"year": 2013})
    output = in_cell("m", "../m/{year}", 3, plain.where)
    pipeline = made(
        replace(plain, outputs=(output,)), overrides=[Override(stage="a", name="year", text="2014")]
    )
    assert [(one.after, dict(one.values)) for one in pipeline.instances["a"].injections] == [
        (2, {"year": 2014})
    ]
    assert pipeline.instances["a"].outputs[0].paths == ("m/2014",)


def test_a_path_from_pipeline_yaml_is_injected_in_the_cells_own_type():
    plain = stage("a")
    written = expression(PathValue("../data/x"))
    moved = replace(artifact("x", "elsewhere/x", plain.where, base="", cell=3), cell_value=written)
    one = made(replace(plain, outputs=(moved,))).instances["a"]
    assert one.outputs[0].paths == ("elsewhere/x",)
    assert one.outputs[0].value == PathValue("../elsewhere/x")
    assert dict(one.injections[0].values) == {"x": PathValue("../elsewhere/x")}


def test_a_reference_that_says_what_the_cell_says_injects_nothing():
    maker = stage("a", outputs={"x": "../d/x"})
    reader = stage("b")
    same = artifact(
        "x", "@a.x", reader.where, cell=3, cell_value=expression(PathValue("../d/x")), must_agree=True
    )
    one = made(maker, replace(reader, inputs=(same,))).instances["b"]
    assert one.inputs[0].value == PathValue("../d/x")
    assert one.injections == ()


@pytest.mark.parametrize("by_name", [False, True])
def test_header_and_cell_must_agree(by_name):
    reader = stage("b")
    other = artifact(
        "x",
        "@a.x" if by_name else "../d/x",
        reader.where,
        cell=3,
        cell_value=expression("../d/y"),
        must_agree=True,
    )
    pipeline, complaints = build(
        project(stage("a", outputs={"x": "../d/x"}), replace(reader, inputs=(other,)))
    )
    assert pipeline is None
    assert [str(one) for one in complaints] == [
        "notebooks/b.ipynb, cell 3: input 'x': x of stage 'a' is d/x, but the cell says d/y.\n"
        "  mend: let both say the same, or take one of them out"
        if by_name
        else "notebooks/b.ipynb, cell 1: input 'x': the header says d/x, but cell 3 says d/y.\n"
        "  mend: let both say the same, or take one of them out"
    ]


def test_the_profile_stands_in_paths_that_carry_an_axis_down():
    stages = (
        stage("a", outputs={"x": "../{profile}/{region}"}, matrix={"region": ["eu", "us"]}),
        stage("b", inputs={"x": "../dev/{region}"}),
    )
    assert list(made(*stages, profile="dev").instances) == [
        "a[region=eu]",
        "a[region=us]",
        "b[region=eu]",
        "b[region=us]",
    ]
    pipeline, complaints = build(project(*stages, profile="prod"))
    assert pipeline is None
    assert [one.what for one in complaints] == ["input 'x': nothing gives 'region' a value."]


def test_the_profile_in_a_parameter_of_such_a_path_counts_too():
    maker = stage("a", outputs={"x": "../{home}/{region}"}, params={"home": ""}, matrix={"region": ["eu"]})
    maker = replace(
        maker, parameters=tuple(replace(one, default=expression("{profile}")) for one in maker.parameters)
    )
    pipeline = made(maker, stage("b", inputs={"x": "../dev/{region}"}), profile="dev")
    assert pairs(pipeline) == [("a[region=eu]", "b[region=eu]")]


def test_a_path_from_the_projects_root_carries_an_axis_down_too():
    maker = stage("a", outputs={"x": "../d/{region}"}, matrix={"region": ["eu"]})
    reader = stage("b")
    where = reader.where
    reader = replace(reader, inputs=(artifact("x", "d/{region}", where, base=""),))
    assert pairs(made(maker, reader)) == [("a[region=eu]", "b[region=eu]")]


def test_only_the_axes_in_a_path_come_down():
    axes = {"year": [1, 2], "region": ["eu", "us"]}
    maker = stage("a", outputs={"q": "../q/{region}"}, matrix=axes, modes={"q": "update"})
    pipeline = made(maker, stage("b", inputs={"q": "../q/{region}"}))
    assert list(pipeline.instances)[-2:] == ["b[region=eu]", "b[region=us]"]
    pipeline = made(maker, stage("b", inputs={"q": "../q/{region}"}, matrix={"year": [9]}))
    assert list(pipeline.instances)[-2:] == ["b[year=9,region=eu]", "b[year=9,region=us]"]


def test_a_folder_from_the_projects_root_stays_one_for_the_kernel():
    reader = stage("b")
    reader = replace(
        reader,
        inputs=tuple(
            artifact(name, path, reader.where, base="") for name, path in (("x", "d/s/"), ("y", "d/f"))
        ),
    )
    bound = made(reader).instances["b"].inputs
    assert [(one.value, one.paths, one.spec.kind) for one in bound] == [
        ("../d/s/", ("d/s",), "directory"),
        ("../d/f", ("d/f",), "file"),
    ]


def test_the_profile_stands_in_paths():
    assert made(stage("a", outputs={"x": "../{profile}/x"})).instances["a"].outputs[0].paths == ("default/x",)
    pipeline = made(stage("a", outputs={"x": "../{profile}/x"}), profile="dev")
    assert pipeline.instances["a"].outputs[0].paths == ("dev/x",)


def test_executed_copies_get_their_axes():
    pipeline = made(stage("a", matrix={"n": [1, 2]}, executed="out/{n}.html"))
    assert [one.executed for one in pipeline] == ["out/1.html", "out/2.html"]


def test_references_are_seen_from_the_kernels_own_folder():
    reader = stage("b", inputs={"x": "@a.x"}, cwd="project")
    assert made(stage("a", outputs={"x": "../d/x"}), reader).instances["b"].inputs[0].value == "d/x"


# --- size ------------------------------------------------------------------------------------


def chain(size):
    return project(
        *(
            stage(f"s{number}", inputs={"a": f"../d/{number - 1}"}, outputs={"b": f"../d/{number}"})
            for number in range(size)
        )
    )


def wide(size):
    return project(
        stage("many", matrix={"n": range(size)}, outputs={"x": "../m/{n}"}),
        stage("next", inputs={"x": "@many.x"}, outputs={"y": "../n/{n}"}, after=["many"]),
        stage("last", inputs={"y": "@next[*].y"}),
    )


def shared(size):
    return project(
        *(
            stage(
                f"s{number}",
                inputs={"d": "../d"},
                outputs={"db": "../x.db"},
                modes={"db": "update"},
                after=[f"s{number - 1}"] if number else [],
            )
            for number in range(size)
        )
    )


@pytest.mark.parametrize("shape", [chain, wide, shared])
def test_the_work_grows_with_the_size_and_not_its_square(shape):
    def seconds(size):
        specs = shape(size)
        started = time.process_time()
        assert build(specs)[0] is not None
        return time.process_time() - started

    small = min(seconds(200) for _ in range(3))
    # Sixteen times as much; a square would make it 256 times.
    assert min(seconds(3200) for _ in range(2)) < 80 * small


def test_lists_and_mappings_of_paths_link_each_of_them():
    plain = stage("b")
    pair = artifact("xs", ["../d/x", "../d/y"], plain.where, cell=3)
    pipeline = made(
        stage("a", outputs={"x": "../d/x"}),
        stage("c", outputs={"y": "../d/y"}),
        replace(plain, inputs=(pair,)),
    )
    assert pairs(pipeline) == [("a", "b"), ("c", "b")]
    assert pipeline.instances["b"].inputs[0].value == ["../d/x", "../d/y"]


def test_a_reference_in_an_output_s_path_is_refused():
    pipeline, complaints = build(
        project(stage("a", outputs={"x": "../x"}), stage("b", inputs={"x": "@a.x"}, outputs={"y": "{x}.b"}))
    )
    assert pipeline is None
    assert [str(one) for one in complaints] == [
        (
            "notebooks/b.ipynb, cell 1: output 'y': 'x' is a reference, so it cannot stand in a path.\n"
            "  mend: write a path that is known before the notebook runs"
        )
    ]


def test_a_default_made_of_another_parameter_follows_it():
    """A later cell than the injected one must see both; the cell itself would keep the old name."""
    plain = stage("a", params={"year": 2013})
    name = Parameter(name="name", where=plain.where, default=expression("run-{year}"), cell=2)
    pipeline = made(
        replace(plain, parameters=(*plain.parameters, name)),
        overrides=[Override(stage=None, name="year", text="2014")],
    )
    one = pipeline.instances["a"]
    assert one.parameters == {"year": 2014, "name": "run-2014"}
    assert [(at.after, dict(at.values)) for at in one.injections] == [(2, {"year": 2014, "name": "run-2014"})]


def test_an_opaque_parameter_is_injected_only_where_it_is_given():
    opaque = Parameter(name="day", where=stage("a").where, opaque=True, source="today()", cell=2)
    plain = replace(stage("a"), parameters=(opaque,))
    assert made(plain).instances["a"].parameters == {}
    assert made(plain).instances["a"].injections == ()
    given_day = made(plain, overrides=[Override(stage="a", name="day", text="monday")]).instances["a"]
    assert [dict(one.values) for one in given_day.injections] == [{"day": "monday"}]
