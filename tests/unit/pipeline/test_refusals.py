"""What the DAG refuses, word for word."""

from collections.abc import Sequence
from dataclasses import replace

import pytest
from spec_builders import artifact, project, stage

from nbpipeline.errors import ExitCode
from nbpipeline.location import Location
from nbpipeline.model import Override, Parameter
from nbpipeline.pipeline import build, missing_inputs
from nbpipeline.pipeline.wording import and_joined, known


def told(*stages, overrides=(), **more):
    """The complaints' texts; there must be some, and no pipeline."""
    pipeline, complaints = build(project(*stages, **more), overrides)
    assert pipeline is None
    assert complaints
    assert all(not one.warning for one in complaints)
    return [str(one) for one in complaints]


def test_a_circle_is_shown_whole():
    assert told(
        stage("a", inputs={"z": "../d/c"}, outputs={"x": "../d/a"}),
        stage("b", inputs={"x": "../d/a"}, outputs={"y": "../d/b"}),
        stage("c", inputs={"y": "@b.y"}, outputs={"z": "../d/c"}),
    ) == [
        (
            "notebooks/b.ipynb, cell 1: the stages go in a circle: a -> b -> c -> a.\n"
            "  b reads d/a of a (notebooks/b.ipynb, cell 1); c reads d/b of b (notebooks/c.ipynb, cell 1); "
            "a reads d/c of c (notebooks/a.ipynb, cell 1)\n"
            "  mend: take one of these inputs, `after` or `dependencies` away"
        )
    ]


def test_a_circle_of_order_alone_is_a_circle():
    assert told(stage("a", after=["b"]), stage("b", dependencies=["a"])) == [
        (
            "notebooks/b.ipynb, cell 1: the stages go in a circle: a -> b -> a.\n"
            "  b comes after a (notebooks/b.ipynb, cell 1); a comes after b (notebooks/a.ipynb, cell 1)\n"
            "  mend: take one of these inputs, `after` or `dependencies` away"
        )
    ]


def test_a_stage_that_reads_what_it_writes_is_a_circle_of_one():
    assert told(stage("a", inputs={"old": "x.csv"}, outputs={"new": "x.csv"})) == [
        (
            "notebooks/a.ipynb, cell 1: the stages go in a circle: a -> a.\n"
            "  a reads notebooks/x.csv of a (notebooks/a.ipynb, cell 1)\n"
            "  mend: read and write different files, or say `mode: update` on the output"
        )
    ]


def test_a_circle_of_a_matrix_is_told_once():
    axes = {"region": ["eu", "us", "apac"]}
    complaints = told(
        stage("a", inputs={"y": "../d/b-{region}"}, outputs={"x": "../d/a-{region}"}, matrix=axes),
        stage("b", inputs={"x": "../d/a-{region}"}, outputs={"y": "../d/b-{region}"}),
    )
    assert len(complaints) == 1
    assert "in a circle: a[region=eu] -> b[region=eu] -> a[region=eu]." in complaints[0]


def test_two_makers_of_one_output():
    assert told(stage("a", outputs={"x": "../d/x"}), stage("b", outputs={"y": "../d/../d/x"})) == [
        (
            "notebooks/b.ipynb, cell 1: output 'y' of stage 'b' and output 'x' of stage 'a' are both d/x.\n"
            "  known makers: a.x (notebooks/a.ipynb, cell 1), b.y (notebooks/b.ipynb, cell 1)\n"
            "  mend: give each its own path, or say `mode: update` in the later one"
        )
    ]


def test_a_matrix_that_writes_one_path():
    assert told(stage("a", outputs={"x": "../d/x"}, matrix={"region": ["eu", "us"], "year": [1, 2]})) == [
        (
            "notebooks/a.ipynb, cell 1: output 'x' of stage 'a' is d/x in all of its instances.\n"
            "  known makers: a[region=eu,year=1], a[region=us,year=2]\n"
            "  mend: put '{region}' and '{year}' into the path"
        )
    ]


def test_a_matrix_beyond_all_bounds():
    axes = {name: list(range(10)) for name in "abcdefg"}
    path = "../d/" + "-".join(f"{{{name}}}" for name in axes)
    assert told(stage("x", outputs={"y": path}, matrix=axes), stage("z", inputs={"y": "@x[*].y"})) == [
        (
            "notebooks/x.ipynb, cell 1: matrix: stage 'x' would have 10,000,000 instances: "
            "10 (a) x 10 (b) x 10 (c) x 10 (d) x 10 (e) x 10 (f) x 10 (g).\n"
            "  mend: leave out axes or values: at most 10,000 instances of a stage can be planned"
        )
    ]


def test_updates_that_nothing_orders():
    both = {"modes": {"db": "update"}, "outputs": {"db": "../x.db"}}
    assert told(stage("a", **both), stage("b", **both)) == [
        (
            "notebooks/b.ipynb, cell 1: stages 'a' and 'b' both update x.db, and nothing says which comes first.\n"
            "  known makers: a.db (notebooks/a.ipynb, cell 1), b.db (notebooks/b.ipynb, cell 1)\n"
            "  mend: write `after: [a]` in 'b', or the other way round"
        )
    ]


def test_of_several_updates_that_nothing_orders_the_last_is_shown():
    both = {"modes": {"db": "update"}, "outputs": {"db": "../x.db"}}
    (complaint,) = told(stage("a", **both), stage("b", **both), stage("c", **both))
    assert complaint.startswith(
        "notebooks/c.ipynb, cell 1: stages 'a' and 'b' both update x.db, and nothing says which comes first.\n"
    )


def test_updates_beside_a_circle_are_told_too():
    both = {"modes": {"db": "update"}, "outputs": {"db": "../x.db"}}
    complaints = told(
        stage("a", after=["b"]), stage("b", after=["a"]), stage("c", **both), stage("d", **both)
    )
    assert [one.partition("\n")[0] for one in complaints] == [
        "notebooks/b.ipynb, cell 1: the stages go in a circle: a -> b -> a.",
        "notebooks/d.ipynb, cell 1: stages 'c' and 'd' both update x.db, and nothing says which comes first.",
    ]


def test_a_reader_that_all_updates_wait_for():
    both = {"modes": {"db": "update"}, "outputs": {"db": "../x.db"}}
    (complaint,) = told(
        stage("reader", inputs={"db": "../x.db"}),
        stage("one", after=["reader"], **both),
        stage("two", after=["one"], **both),
        stage("three", after=["two"], **both),
    )
    assert "in a circle: reader -> one -> two -> three -> reader." in complaint
    assert "reader reads x.db of three (notebooks/reader.ipynb, cell 1)" in complaint


def test_one_stage_that_writes_one_path_under_two_names():
    assert told(stage("a", outputs={"x": "../d/x", "y": "../d/x"})) == [
        (
            "notebooks/a.ipynb, cell 1: output 'y' of stage 'a' and output 'x' of stage 'a' are both d/x.\n"
            "  known makers: a.x (notebooks/a.ipynb, cell 1), a.y (notebooks/a.ipynb, cell 1)\n"
            "  mend: give each its own path, or say `mode: update` in the later one"
        )
    ]


def test_an_output_inside_another_ones_folder():
    assert told(
        stage("a", outputs={"all": "../d/shards/"}), stage("b", outputs={"one": "../d/shards/1"})
    ) == [
        (
            "notebooks/b.ipynb, cell 1: output 'one' of stage 'b' (d/shards/1) lies inside output 'all' of stage "
            "'a' (d/shards).\n"
            "  the other one: notebooks/a.ipynb, cell 1\n"
            "  mend: give each its own folder"
        )
    ]


def test_unknown_stages_and_outputs_with_what_is_known():
    assert told(
        stage("fetch", outputs={"raw": "../d/raw"}),
        stage("clean", outputs={"features": "../d/f"}),
        stage(
            "train", inputs={"f": "@clean.featurs", "r": "@fecth.raw"}, after=["cleen"], dependencies=["q"]
        ),
    ) == [
        (
            "notebooks/train.ipynb, cell 1: input 'f': stage 'clean' has no output 'featurs'.\n"
            "  known outputs: features (clean.ipynb)\n"
            "  mend: did you mean 'features'?"
        ),
        (
            "notebooks/train.ipynb, cell 1: input 'r': there is no stage 'fecth'.\n"
            "  known stages: fetch, clean, train\n"
            "  mend: did you mean 'fetch'?"
        ),
        (
            "notebooks/train.ipynb, cell 1: after: there is no stage 'cleen'.\n"
            "  known stages: fetch, clean, train\n"
            "  mend: did you mean 'clean'?"
        ),
        (
            "notebooks/train.ipynb, cell 1: dependencies: there is no stage 'q'.\n"
            "  known stages: fetch, clean, train\n"
            "  mend: name a stage of this project"
        ),
    ]


def test_collecting_over_no_matrix():
    assert told(stage("a", outputs={"x": "../x"}), stage("b", inputs={"x": "@a[*].x"})) == [
        (
            "notebooks/b.ipynb, cell 1: input 'x': stage 'a' has no matrix to collect over.\n"
            "  mend: write {from: a.x}"
        )
    ]


@pytest.mark.parametrize(
    ("path", "shown"),
    [
        ("../../x.csv", "/nowhere/x.csv"),
        ("/data/x.csv", "/data/x.csv"),
        ("../d/../../x.csv", "/nowhere/x.csv"),
    ],
)
def test_an_output_outside_the_project(path, shown):
    assert told(stage("a", outputs={"x": path})) == [
        (
            f"notebooks/a.ipynb, cell 1: output 'x' of stage 'a' lies outside the project: {shown}.\n"
            "  mend: write it inside the project, or say `allow_outside: true`"
        )
    ]


def test_an_output_outside_the_project_may_be_allowed():
    plain = stage("a")
    outside = artifact("x", "/data/x.csv", plain.where, allow_outside=True)
    pipeline, complaints = build(project(replace(plain, outputs=(outside,))))
    assert complaints == ()
    assert pipeline.instances["a"].outputs[0].paths == ("/data/x.csv",)


def test_a_link_that_leads_out_of_the_project_is_seen_through(root, tmp_path):
    (root / "data").symlink_to(tmp_path)
    assert told(stage("a", outputs={"x": "../data/x.csv"}), root=str(root)) == [
        (
            "notebooks/a.ipynb, cell 1: output 'x' of stage 'a' lies outside the project: data/x.csv "
            f"(through a link to {tmp_path}/x.csv).\n"
            "  mend: write it inside the project, or say `allow_outside: true`"
        )
    ]


def test_a_link_inside_the_project_is_the_place_that_it_leads_to(root):
    (root / "real").mkdir()
    (root / "data").symlink_to(root / "real")
    pipeline, _ = build(
        project(stage("a", outputs={"x": "../data/x"}), stage("b", inputs={"x": "../real/x"}), root=str(root))
    )
    assert [(edge.upstream, edge.downstream) for edge in pipeline.edges] == [("a", "b")]
    assert (
        "are both real/x."
        in told(
            stage("a", outputs={"x": "../data/x"}), stage("b", outputs={"x": "../real/x"}), root=str(root)
        )[0]
    )


@pytest.mark.parametrize(
    ("path", "what"),
    [
        ("b.ipynb", "a notebook of the pipeline: notebooks/b.ipynb"),
        ("../notebooks/", "the folder of notebooks/b.ipynb: notebooks"),
        ("..", "the whole project: ."),
        ("../pipeline.yaml", "the pipeline's own file: pipeline.yaml"),
        ("../.nbpipeline/store/x", "inside .nbpipeline: .nbpipeline/store/x"),
        ("../.git", "inside .git: .git"),
    ],
)
def test_an_output_over_the_projects_own_files(path, what):
    assert told(stage("b", outputs={"x": path}), file="pipeline.yaml") == [
        f"notebooks/b.ipynb, cell 1: output 'x' of stage 'b' is {what}.\n  mend: give it a place of its own"
    ]


@pytest.mark.parametrize(
    ("path", "reason"),
    [("  ", "the path is empty"), ("a\0b", "the path holds a null character"), (5, "5 is no path")],
)
def test_a_path_that_no_file_can_have(path, reason):
    assert told(stage("a", outputs={"x": path})) == [
        (
            f"notebooks/a.ipynb, cell 1: output 'x': {reason}.\n"
            "  mend: write a path that is known before the notebook runs"
        )
    ]


def test_a_list_without_paths():
    assert "output 'x': it names no path." in told(stage("a", outputs={"x": []}))[0]


def test_a_name_in_a_path_that_nothing_gives_a_value():
    assert told(stage("a", outputs={"x": "../d/{regon}"}, params={"region": "eu"})) == [
        (
            "notebooks/a.ipynb, cell 1: output 'x': nothing gives 'regon' a value.\n"
            "  known names: profile, region\n"
            "  mend: did you mean 'region'?"
        )
    ]


def test_a_parameter_in_a_path_that_only_the_notebook_knows():
    where = Location(path="notebooks/a.ipynb", cell=2)
    opaque = Parameter(name="day", where=where, opaque=True, source="today()", cell=2)
    assert told(replace(stage("a", outputs={"x": "../d/{day}"}), parameters=(opaque,))) == [
        (
            "notebooks/a.ipynb, cell 1: output 'x': parameter 'day' is computed by the notebook, so it cannot "
            "stand in a path.\n"
            "  mend: write a path that is known before the notebook runs"
        )
    ]


def test_paths_made_of_each_other():
    assert (
        "output 'x': it is made of itself: x -> y -> x."
        in told(stage("a", outputs={"x": "{y}/a", "y": "{x}/b"}))[0]
    )


# --- parameters ------------------------------------------------------------------------------


def override(text):
    name, _, value = text.partition("=")
    owner, _, name = name.rpartition(".")
    return Override(stage=owner or None, name=name, text=value)


@pytest.mark.parametrize(
    ("option", "message"),
    [
        (
            "train.CC=1",
            (
                "-p train.CC=1: stage 'train' has no parameter 'CC'.\n"
                "  known parameters: C, depth\n"
                "  mend: did you mean 'C'?"
            ),
        ),
        (
            "train.zzz=1",
            (
                "-p train.zzz=1: stage 'train' has no parameter 'zzz'.\n"
                "  known parameters: C, depth\n"
                "  mend: assign zzz in the parameters cell of notebooks/train.ipynb"
            ),
        ),
        (
            "trian.C=1",
            "-p trian.C=1: there is no stage 'trian'.\n  known stages: train\n  mend: did you mean 'train'?",
        ),
        (
            "dept=1",
            (
                "-p dept=1: no stage has a parameter 'dept'.\n"
                "  known parameters: C, depth\n"
                "  mend: did you mean 'depth'?"
            ),
        ),
        (
            "train.C=high",
            "-p train.C=high: 'high' is no float.\n  mend: write a value of type float for 'C'",
        ),
        (
            "region=eu",
            (
                "-p region=eu: 'region' is an axis of stage 'train'.\n"
                "  values of 'region': eu, new york\n"
                "  mend: select the instance: train@region=eu"
            ),
        ),
        (
            "train.region=apac",
            (
                "-p train.region=apac: 'region' is an axis of stage 'train'.\n"
                "  values of 'region': eu, new york\n"
                "  mend: select an instance: train@region=eu, 'train@region=new york'"
            ),
        ),
        (
            "regoin=eu",
            (
                "-p regoin=eu: no stage has a parameter 'regoin'.\n"
                "  known parameters: C, depth\n"
                "  mend: assign regoin in a parameters cell"
            ),
        ),
        (
            "train.regoin=eu",
            (
                "-p train.regoin=eu: stage 'train' has no parameter 'regoin'.\n"
                "  known parameters: C, depth\n"
                "  mend: assign regoin in the parameters cell of notebooks/train.ipynb"
            ),
        ),
    ],
)
def test_overrides_that_are_refused_are_usage_errors(option, message):
    # An axis is named in the parameters cell too, so that the notebook runs by itself.
    params = {"C": 1.0, "depth": 3, "region": "eu"}
    train = stage("train", params=params, matrix={"region": ["eu", "new york"]})
    pipeline, complaints = build(project(train), [override(option)])
    assert pipeline is None
    assert [str(one) for one in complaints] == [message]
    assert {one.exit_code for one in complaints} == {ExitCode.USAGE}


def bounded(**more):
    where = Location(path="notebooks/a.ipynb", cell=2, line=3)
    return replace(stage("a"), parameters=(Parameter(name="C", where=where, **more),))


@pytest.mark.parametrize(
    ("declared", "option", "message"),
    [
        ({"min": 0.0}, "C=-1", "is -1, less than 0.\n  mend: give at least 0"),
        ({"max": 1.5}, "C=2", "is 2, more than 1.5.\n  mend: give at most 1.5"),
        ({"choices": ("a", "b")}, "C=c", "is 'c', none of 'a', 'b'.\n  mend: choose one of 'a', 'b'"),
    ],
)
def test_values_out_of_bounds(declared, option, message):
    _, complaints = build(project(bounded(**declared)), [override(option)])
    assert [str(one) for one in complaints] == [f"-p {option}: parameter 'C' of stage 'a' {message}"]


def test_a_parameter_without_a_value():
    assert told(bounded(type="float")) == [
        (
            "notebooks/a.ipynb, cell 2, line 3: parameter 'C' of stage 'a' has no value.\n"
            "  mend: give it a default, or say `-p a.C=...`"
        )
    ]
    pipeline, complaints = build(project(bounded(type="float")), [override("C=2")])
    assert complaints == ()
    assert pipeline.instances["a"].parameters == {"C": 2.0}


# --- matrices --------------------------------------------------------------------------------


def test_axes_that_make_no_grid():
    assert told(stage("a", matrix={"region": []})) == [
        (
            "notebooks/a.ipynb, cell 1: matrix: axis 'region' of stage 'a' has no values.\n"
            "  mend: give it at least one value, or take it out"
        )
    ]
    assert (
        "matrix: axis 'n' of stage 'a' has the value 1 twice." in told(stage("a", matrix={"n": [1, "1"]}))[0]
    )


def test_instances_of_one_name():
    odd = {"a": ["1,b=2", "1"], "b": ["3", "2,b=3"]}
    assert told(stage("s", matrix=odd)) == [
        (
            "notebooks/s.ipynb, cell 1: matrix: two instances of stage 's' are both called s[a=1,b=2,b=3].\n"
            "  mend: use values without ',', '=' and ']'"
        )
    ]


def test_an_axis_in_a_path_that_does_not_fit_beside_one_that_is_not_in_it():
    axes = {"year": [1, 2], "region": ["eu", "us"]}
    (complaint,) = told(
        stage("a", outputs={"q": "../q/{region}"}, matrix=axes, modes={"q": "update"}),
        stage("b", inputs={"q": "../q/{region}"}, matrix={"region": ["apac"], "year": [9]}),
    )
    assert complaint == (
        "notebooks/b.ipynb, cell 1: input 'q': axis 'region' is [apac] in stage 'b', but [eu, us] in stage 'a'.\n"
        "  mend: declare 'region' in the matrix of 'b' with values that every maker has"
    )


def test_an_instance_that_is_not_there_is_named_by_all_its_axes():
    axes = {"region": ["eu"], "year": [1]}
    complaints = told(
        stage("a", outputs={"x": "../x-{region}-{year}"}, matrix=axes),
        stage("b", inputs={"y": "@a.x"}, matrix={"region": ["apac"], "year": [1]}),
    )
    assert complaints[-1] == (
        "notebooks/b.ipynb, cell 1: input 'y': there is no a[region=apac,year=1].\n"
        "  mend: give both stages the same values, or collect: {from: 'a[*].x'}"
    )


def test_names_that_are_near_no_known_one():
    one = stage("a", params={"C": 1.0}, outputs={"x": "../x"})
    assert told(one, overrides=[override("zzzzz.C=1"), override("quuux=1"), override("C=x")]) == [
        (
            "-p quuux=1: no stage has a parameter 'quuux'.\n"
            "  known parameters: C\n"
            "  mend: assign quuux in a parameters cell"
        ),
        "-p C=x: 'x' is no float.\n  mend: write a value of type float for 'C'",
        "-p zzzzz.C=1: there is no stage 'zzzzz'.\n  known stages: a\n  mend: name a stage of this project",
    ]
    assert told(
        one,
        stage("b", inputs={"y": "@qqqqq.x"}),
        stage("c", inputs={"y": "@a.qqqqq"}),
        stage("d", inputs={"y": "@b.qqqqq"}),
        stage("e", inputs={"y": "../{quuux}"}),
    ) == [
        (
            "notebooks/b.ipynb, cell 1: input 'y': there is no stage 'qqqqq'.\n"
            "  known stages: a, b, c, d, e\n"
            "  mend: name a stage of this project"
        ),
        (
            "notebooks/c.ipynb, cell 1: input 'y': stage 'a' has no output 'qqqqq'.\n"
            "  known outputs: x (a.ipynb)\n"
            "  mend: declare 'qqqqq' in notebooks/a.ipynb"
        ),
        (
            "notebooks/d.ipynb, cell 1: input 'y': stage 'b' has no output 'qqqqq'.\n"
            "  known outputs: x (a.ipynb)\n"
            "  mend: declare 'qqqqq' in notebooks/b.ipynb"
        ),
        (
            "notebooks/e.ipynb, cell 1: input 'y': nothing gives 'quuux' a value.\n"
            "  known names: profile\n"
            "  mend: declare 'quuux' in the parameters cell, or as an axis of the matrix"
        ),
    ]


def test_a_value_in_pipeline_yaml_is_refused_where_it_stands():
    wrong = replace(stage("a", params={"C": 1.0}), settings={"C": "x"})
    assert told(wrong, file="pipeline.yaml") == [
        "pipeline.yaml: parameter 'C' of stage 'a' is 'x', not float.\n  mend: give a value of type float"
    ]


@pytest.mark.parametrize(
    ("number", "said"),
    [
        (0, "known stages: none"),
        (1, "known stages: s1"),
        (12, "known stages: s1, s2, s3, s4, s5, s6, s7, s8, s9, s10, s11, s12"),
        (15, "known stages: s1, s2, s3, s4, s5, s6, s7, s8, s9, s10, s11, s12, and 3 more"),
    ],
)
def test_a_dozen_names_are_listed(number: int, said: str) -> None:
    assert known("stages", [f"s{one + 1}" for one in range(number)]) == said


@pytest.mark.parametrize(
    ("names", "said"), [("", ""), ("a", "a"), ("ab", "a and b"), ("abcd", "a, b, c and d")]
)
def test_names_are_joined_as_in_a_sentence(names: str, said: str) -> None:
    assert and_joined(list(names)) == said


def test_axes_that_do_not_fit():
    complaints = told(
        stage("a", outputs={"x": "../a-{region}"}, matrix={"region": ["eu", "us"]}),
        stage("b", inputs={"x": "@a.x"}, outputs={"y": "../b-{region}"}, matrix={"region": ["eu", "apac"]}),
    )
    assert complaints == [
        (
            "notebooks/b.ipynb, cell 1: input 'x': axis 'region' is [eu, apac] in stage 'b', but [eu, us] in "
            "stage 'a'.\n"
            "  mend: declare 'region' in the matrix of 'b' with values that every maker has"
        ),
        (
            "notebooks/b.ipynb, cell 1: input 'x': there is no a[region=apac].\n"
            "  mend: give both stages the same values, or collect: {from: 'a[*].x'}"
        ),
    ]


def test_executed_copies_that_would_be_lost():
    assert told(stage("a", matrix={"n": [1, 2]}, executed="out/a.html")) == [
        (
            "notebooks/a.ipynb, cell 1: executed: out/a.html of stage 'a' is also that of another instance of "
            "'a'.\n"
            "  mend: give it a place of its own, with the axes in braces"
        )
    ]
    assert "is the notebook of stage 'a'." in told(stage("a", executed="notebooks/a.ipynb"))[0]
    assert "is outside the project." in told(stage("a", executed="../a.html"))[0]
    assert "executed: nothing gives 'm' a value." in told(stage("a", executed="{m}.html"))[0]


# --- all together ----------------------------------------------------------------------------


def test_everything_is_said_at_once_in_the_order_of_places():
    complaints = told(
        stage("c", after=["nope"]),
        stage("a", inputs={"y": "../d/b"}, outputs={"x": "../d/a", "far": "/far"}),
        stage("b", inputs={"x": "../d/a"}, outputs={"y": "../d/b"}),
        overrides=[override("q=1")],
    )
    assert [one.splitlines()[0].split(":")[0] for one in complaints] == [
        "-p q=1",
        "notebooks/a.ipynb, cell 1",
        "notebooks/b.ipynb, cell 1",
        "notebooks/c.ipynb, cell 1",
    ]


# --- inputs that nobody makes -----------------------------------------------------------------


def test_a_missing_input_is_a_warning_as_the_specification_words_it(root):
    pipeline, _ = build(
        project(
            stage("fetch", outputs={"raw": "../d/raw"}),
            stage("clean", outputs={"features": "../d/features"}),
            stage("train", inputs={"featurs": "../d/featurs", "raw": "../d/raw"}),
            stage("report", inputs={"logo": "../logo.png", "page": "https://example.org/x"}),
            root=str(root),
        )
    )
    found = missing_inputs(pipeline, root)
    assert [str(one) for one in found] == [
        (
            "notebooks/train.ipynb, cell 1: input 'featurs' is made by no stage.\n"
            "  known outputs: raw (fetch.ipynb), features (clean.ipynb)\n"
            "  mend: did you mean 'features'?"
        ),
        (
            "notebooks/report.ipynb, cell 1: input 'logo' is made by no stage, and logo.png is not there.\n"
            "  known outputs: d/raw (fetch.ipynb), d/features (clean.ipynb)\n"
            "  mend: put the file at logo.png, or declare it as an output of the stage that makes it"
        ),
    ]
    assert all(one.warning and one.exit_code == ExitCode.PIPELINE for one in found)
    (root / "logo.png").touch()
    assert len(missing_inputs(pipeline, root)) == 1


def mends(root, path: str, *, name: str = "table", made: Sequence[str] = ("../data/clean.csv",)) -> str:
    """Give the mend of a missing input of a project whose stages make some files."""
    makers = [stage(f"m{number}", outputs={f"o{number}": one}) for number, one in enumerate(made)]
    pipeline, complaints = build(project(*makers, stage("train", inputs={name: path}), root=str(root)))
    assert complaints == ()
    (found,) = missing_inputs(pipeline, root)
    return found.mend


def test_a_misspelt_path_is_told_with_the_path_that_was_meant(root):
    (root / "data").mkdir()
    (root / "data/prices.csv").touch()
    otherwise = "Else put the file at data/{}, or declare it as an output of the stage that makes it"
    for written, meant in [
        ("claen.csv", "data/clean.csv"),  # made by a stage
        ("price.csv", "data/prices.csv"),  # a file that is there
        ("clean.parquet", "data/clean.csv"),
    ]:
        told = mends(root, f"../data/{written}")
        assert told == f"did you mean '{meant}'? {otherwise.format(written)}"
    assert mends(root, "clean.csv").startswith("did you mean 'data/clean.csv'?"), "another folder"
    apart = ("../data/other.csv", "../data/clean.csv")
    told = mends(root, "../data/claen.csv", name="o00", made=apart)
    assert told.startswith("did you mean 'data/clean.csv'?"), "the path tells more than the name"
    both = ("../data/clean.csv", "../data/clean.json")
    assert mends(root, "../data/claen.json", made=both).startswith("did you mean 'data/clean.json'?")


def test_what_is_other_data_is_not_taken_for_a_slip(root):
    assert mends(root, "../data/2014.csv", made=["../data/2013.csv"]).startswith("put the file at ")
    assert mends(root, "../data/train.csv").startswith("put the file at ")
    assert mends(root, "../nowhere/raw.csv").startswith("put the file at ")
    own = stage("a", inputs={"raw": "../raw/1.txt"}, outputs={"made": "../made/1.txt"})
    (found,) = missing_inputs(build(project(own, root=str(root)))[0], root)
    assert found.mend.startswith("put the file at "), "nobody reads what it makes itself"


def test_a_missing_input_of_a_matrix_is_told_once(root):
    train = stage("train", matrix={"year": [1, 2, 3]}, inputs={"raw": "../d/{year}.csv"})
    pipeline, complaints = build(project(train, root=str(root)))
    assert complaints == ()
    (found,) = missing_inputs(pipeline, root)
    assert str(found) == (
        "notebooks/train.ipynb, cell 1: input 'raw' is made by no stage, and d/1.csv, d/2.csv, d/3.csv are "
        "not there.\n"
        "  known outputs: none\n"
        "  mend: put the files there, or declare them as outputs of the stage that makes them"
    )
    (root / "d").mkdir()
    for year in (1, 3):
        (root / f"d/{year}.csv").touch()
    (found,) = missing_inputs(pipeline, root)
    assert found.what == "input 'raw' is made by no stage, and d/2.csv is not there."
    assert missing_inputs(pipeline, root, ["train[year=1]"]) == ()
