"""Whole projects: layers, discovery, short form, profiles, and complaints about pipeline.yaml."""

import json

import pytest
from builders import code, header, notebook_json, write_files, write_notebook

from nbpipeline.errors import ExitCode
from nbpipeline.location import Location
from nbpipeline.model import Expression, PathValue, Reference, Resources, StageLink
from nbpipeline.reading.project import find_root, read_project

PARAMETERS = code("x = 1", "parameters")


def told(root, **keywords):
    return [str(one) for one in read_project(root, **keywords)[1]]


def stage(root, *cells, name="train", **keywords):
    write_notebook(root / f"notebooks/{name}.ipynb", *cells, **keywords)


def read_one(root, **keywords):
    spec, complaints = read_project(root, **keywords)
    assert complaints == ()
    (found,) = spec.stages
    return found


def test_which_notebooks_are_stages(root):
    stage(root, header(""), name="with_header")
    stage(root, header("stage: false"), PARAMETERS, name="not_one")
    stage(root, code("x = 1"), name="plain")
    for tag in ("parameters", "inputs", "outputs", "dependencies", "expectations"):
        stage(root, code("", tag), name=f"tagged_{tag}")
    for name in ("Untitled", "Untitled3", "train-Copy1", ".hidden"):
        stage(root, PARAMETERS, name=name)
    write_notebook(root / "notebooks/.ipynb_checkpoints/a-checkpoint.ipynb", PARAMETERS)
    write_notebook(root / "notebooks/deeper/b.ipynb", PARAMETERS)
    write_notebook(root / "elsewhere.ipynb", PARAMETERS)
    spec, complaints = read_project(root)
    assert complaints == ()
    tagged = [f"tagged_{tag}" for tag in ("dependencies", "expectations", "inputs", "outputs", "parameters")]
    assert [one.name for one in spec.stages] == [*tagged, "with_header"]
    assert (spec.name, spec.file, spec.root) == ("project", None, str(root))


@pytest.mark.parametrize("pattern", ["notebooks/tour.ipynb", "tour.ipynb", "notebooks/t*", "**/tour.ipynb"])
def test_exclude(root, pattern):
    stage(root, PARAMETERS)
    stage(root, PARAMETERS, name="tour")
    write_files(root, {"pipeline.yaml": f"exclude: ['{pattern}', 'drafts/']"})
    names = [one.name for one in read_project(root)[0].stages]
    assert names == ([] if pattern == "notebooks/t*" else ["train"])


def test_globs_reach_into_folders(root):
    for name in ("a/b/one", "a/two", "three"):
        write_notebook(root / f"{name}.ipynb", PARAMETERS)
    write_files(root, {"pipeline.yaml": "notebooks: ['a/**/*.ipynb']"})
    assert [one.name for one in read_project(root)[0].stages] == ["one", "two"]


def test_the_short_form_is_a_whole_pipeline(root):
    for name in ("data_preparation", "model_training"):
        stage(root, code("print(1)"), name=name)
    write_files(
        root,
        {
            "pipeline.yaml": """
            stages:
              - name: data_preparation
              - name: model_training
                dependencies: [data_preparation]
            """
        },
    )
    spec, complaints = read_project(root)
    assert complaints == ()
    assert [one.name for one in spec.stages] == ["data_preparation", "model_training"]
    where = Location(path="pipeline.yaml", line=4)
    assert spec.stages[1].links == (StageLink(stage="data_preparation", where=where, stale_with=True),)
    assert str(spec.stages[1].where) == "pipeline.yaml, line 3"


def test_papermills_samples_need_no_header(root):
    write_notebook(
        root / "samples/simple.ipynb", code("msg = 'hi'\na: int = 1", "parameters"), code("print(msg)")
    )
    write_files(
        root, {"pipeline.yaml": "stages: [{name: hello, notebook: samples/simple.ipynb, params: {a: 2}}]"}
    )
    found = read_one(root)
    assert (found.name, found.settings, [one.name for one in found.parameters]) == (
        "hello",
        {"a": 2},
        ["msg", "a"],
    )


def test_a_stage_in_full(root):
    write_files(root, {"notebooks/regions.yaml": "[eu, us]"})
    stage(
        root,
        header(
            """
            stage: train
            description: Fit the delay model
            inputs: {features: ../data/features.parquet, encoder: {from: prepare.encoder}, all: {from: "score[*].out"}}
            outputs: {model: "../models/delay-{region}.joblib", big: {store: false}, db: {path: ../x.db, mode: update}}
            after: [warm_up]
            dependencies: [calendar]
            params: {C: {min: 0, help: inverse regularisation}, seed: 7}
            matrix: {region: {from_file: regions.yaml}, year: [2013, 2014]}
            expect: {features: [{not_null: dep_delay}, exists]}
            retries: 2
            retry_delay: 30s
            retry_backoff: 2
            timeout: 1h
            cell_timeout: 10m
            resources: {cpus: 2, memory: 2GB, gpus: 1}
            kernel: python3
            pythonpath: [../src]
            env: [TZ]
            secrets: [WAREHOUSE_TOKEN]
            fresh_for: 24h
            cache: false
            executed: ../out/train.html
            test: {inputs: {features: tests/small.parquet}, params: {C: 0.1}}
            tags: [weekly]
            gate: {metric: auc}
            """
        ),
        code("C: float = 1.0", "parameters"),
        code("from pathlib import Path\nbig = Path('..') / 'big.bin'", "outputs"),
        code("big_checks = 1"),
    )
    found = read_one(root, plugin_keys=["gate"])
    settings = (found.retries, found.retry_delay, found.retry_backoff, found.timeout, found.cell_timeout)
    assert settings == (2, 30.0, 2.0, 3600.0, 600.0)
    assert found.resources == Resources(cpus=2.0, memory=2_000_000_000, gpus=1)
    assert (found.kernel, found.env, found.secrets, found.tags) == (
        "python3",
        ("TZ",),
        ("WAREHOUSE_TOKEN",),
        ("weekly",),
    )
    assert (found.fresh_for, found.cache, found.frozen, found.executed) == (
        86400.0,
        False,
        False,
        "out/train.html",
    )
    assert (found.pythonpath, found.cwd, found.working_folder) == (("src",), "notebook", "notebooks")
    assert found.matrix == {"region": ("eu", "us"), "year": (2013, 2014)}
    assert found.test.inputs == {"features": "notebooks/tests/small.parquet"}
    assert found.plugins == {"gate": {"metric": "auc"}}
    assert [(one.name, one.arguments) for one in found.expect["features"]] == [
        ("not_null", "dep_delay"),
        ("exists", None),
    ]
    assert [(one.stage, one.stale_with) for one in found.links] == [("warm_up", False), ("calendar", True)]
    features, encoder, every = found.inputs
    assert (features.base, features.value) == (
        "notebooks",
        Expression("literal", ("../data/features.parquet",), 5),
    )
    assert encoder.reference == Reference(stage="prepare", output="encoder")
    assert every.reference == Reference(stage="score", output="out", collect=True)
    outputs = {one.name: one for one in found.outputs}
    assert (outputs["big"].store, outputs["big"].cell, outputs["big"].must_agree) == (False, 3, False)
    assert (outputs["db"].mode, outputs["model"].value.kind) == ("update", "text")
    c, seed = found.parameters
    assert (c.type, c.min, c.help, c.default.args, c.cell) == (
        "float",
        0,
        "inverse regularisation",
        (1.0,),
        2,
    )
    assert (seed.default.args, seed.cell) == ((7,), None)


def test_header_and_cell_must_agree(root):
    stage(root, header("inputs: {a: ../a.csv}"), code("a = '../a.csv'", "inputs"))
    (found,) = read_one(root).inputs
    assert (found.must_agree, found.cell, found.cell_value.args) == (True, 2, ("../a.csv",))


def test_precedence(root):
    stage(
        root,
        header("retries: 2\ntimeout: 2h\nenv: [B]\ninputs: {a: ../a.csv}\nresources: {cpus: 2}"),
        code("C = 1.0\nyear = 2012\nn = 0", "parameters"),
        code("b = 'b.csv'", "outputs"),
    )
    write_files(
        root,
        {
            "pipeline.yaml": """
            params: {year: 2013, n: 1}
            defaults: {retries: 1, cell_timeout: 5m, env: [A], resources: {memory: 1GB}}
            stages: [{name: train, timeout: 3h, params: {C: 2.0, n: 2}, inputs: {a: data/a.csv}, env: [C]}]
            profiles:
              dev:
                params: {year: 2014}
                defaults: {cell_timeout: 1m}
                stages: [{name: train, params: {C: 3.0}, timeout: null, outputs: {b: "out/{profile}.csv"}}]
            """
        },
    )
    found = read_one(root)
    assert (found.retries, found.timeout, found.cell_timeout, found.env) == (
        2,
        10800.0,
        300.0,
        ("A", "B", "C"),
    )
    assert found.settings == {"year": 2013, "n": 2, "C": 2.0}
    assert found.resources == Resources(cpus=2.0, memory=1_000_000_000)
    (a,) = found.inputs
    assert (a.base, a.value.args, a.must_agree) == ("", ("data/a.csv",), False)
    dev = read_one(root, profile="dev")
    assert (dev.timeout, dev.cell_timeout, dev.settings) == (None, 60.0, {"year": 2014, "n": 2, "C": 3.0})
    (b,) = dev.outputs
    assert (b.base, b.cell, b.cell_value.args) == ("", 3, ("b.csv",))
    assert [one.kind for one in b.value.args] == ["literal", "name", "literal"]


def test_cwd_project(root):
    stage(root, header("inputs: {a: data/a.csv}\npythonpath: [src]"), code("b = 'data/b.csv'", "outputs"))
    write_files(root, {"pipeline.yaml": "defaults: {cwd: project}"})
    found = read_one(root)
    assert [one.base for one in (*found.inputs, *found.outputs)] == ["", ""]
    assert (found.working_folder, found.pythonpath) == ("", ("src",))


def test_expectations_cell(root):
    stage(
        root,
        code("least: int = 3", "parameters"),
        code("a = 'a.csv'", "inputs"),
        code("a = [{'rows': {'min': least}}, 'exists', {'columns': ('x', 'y')}]", "expectations"),
    )
    checks = read_one(root).expect["a"]
    assert [(one.name, one.arguments) for one in checks] == [
        ("rows", {"min": 3}),
        ("exists", None),
        ("columns", ["x", "y"]),
    ]
    assert str(checks[0].where) == "notebooks/train.ipynb, cell 3, line 1"


def test_parameters_of_the_cell(root):
    stage(
        root,
        code(
            "import os\n"
            "from pathlib import Path\n"
            "a, b = 1, 'x # y'\n"
            "c: int | None = None  # how many\n"
            "d = a + 1\n"
            "e = os.environ['HOME']\n"
            "f: float\n"
            "g = [1, 2]\n"
            "g.append(3)\n"
            "h = 1\n"
            "h += 1\n"
            "i = Path('x')\n"
            "j = e\n"
            "k = 3  # type: float  a share\n",
            "parameters",
        ),
    )
    found = {one.name: one for one in read_one(root).parameters}
    assert {name for name, one in found.items() if one.opaque} == {"e", "h", "j"}
    assert (found["b"].default.args, found["c"].type, found["c"].help) == (
        ("x # y",),
        "int | None",
        "how many",
    )
    assert (found["f"].default, found["f"].type, found["d"].default.kind) == (None, "float", "add")
    assert (found["k"].type, found["k"].help) == ("float", "a share")
    assert found["i"].default.kind == "path"
    assert PathValue("x") == PathValue("x")


def test_other_tools_keys_are_left_alone(root):
    raw = "---\ntitle: Training\nformat:\n  html: {toc: true}\nnbpipeline: {stage: fit}\n---\n"
    stage(root, {"cell_type": "raw", "metadata": {}, "source": raw})
    assert read_one(root).name == "fit"


def test_a_header_in_metadata(root):
    content = notebook_json([PARAMETERS])
    content["metadata"]["nbpipeline"] = {"stage": "fit", "retries": 3, "retires": 1}
    write_files(root, {"notebooks/a.ipynb": json.dumps(content)})
    spec, (complaint,) = read_project(root)
    assert (spec.stages[0].name, spec.stages[0].retries) == ("fit", 3)
    assert str(complaint).startswith("notebooks/a.ipynb: unknown key 'retires'.")


def test_project_keys(root):
    stage(root, PARAMETERS)
    write_files(
        root,
        {
            "pipeline.yaml": """
            name: flights
            environment: {lock: requirements.lock}
            store: {path: s3://bucket/x, max_size: 10GB}
            tracking: {mlflow: {uri: "sqlite:///mlflow.db"}}
            schedule: {cron: "0 3 * * *", timezone: UTC}
            gates: [auc]
            profiles: {prod: {tracking: {wandb: {}}, environment: none, store: {path: here}}}
            """
        },
    )
    spec, complaints = read_project(root, profile="prod", plugin_keys=["gates"])
    assert complaints == ()
    assert (spec.name, spec.file, spec.profile, spec.environment) == (
        "flights",
        "pipeline.yaml",
        "prod",
        "none",
    )
    assert spec.store == {"path": "here", "max_size": 10_000_000_000}
    assert (list(spec.tracking), spec.schedule["cron"]) == (["mlflow", "wandb"], "0 3 * * *")
    assert spec.plugins == {"gates": ["auc"]}


def test_find_root(root):
    write_files(root, {"pipeline.yaml": "name: x", "notebooks/deep/x.txt": ""})
    assert find_root(root / "notebooks/deep") == root
    assert find_root(root) == root
    assert find_root(root.parent) == root.parent


PIPELINE_YAML = [
    (
        "stages: [",
        "line 2: the file is no YAML: did not find expected node content, while parsing a flow node.\n  mend: mend the line named, or the one before it.",
    ),
    (
        "- a",
        "line 1: the document is a list; it wants a mapping.\n  mend: write `key: value` lines, indented under it.",
    ),
    (
        "notebook: [a]",
        "line 1: unknown key 'notebook'.\n  known keys: alerts, defaults, environment, exclude, executor, kernels, name, notebooks, params, profiles, schedule, stages, store, tracking\n  mend: did you mean 'notebooks'?",
    ),
    (
        "retries: 2",
        "line 1: unknown key 'retries'.\n  known keys: alerts, defaults, environment, exclude, executor, kernels, name, notebooks, params, profiles, schedule, stages, store, tracking\n  mend: write it under 'defaults:' (retries is a stage's key).",
    ),
    (
        "params: {yaer: 1}",
        "line 1: the parameter 'yaer' is declared by no stage.\n  known parameters: year\n  mend: did you mean 'year'?",
    ),
    (
        "params: {year: late}",
        "line 1: the value of parameter 'year' is 'late'; it wants int.\n  known parameter: year (notebooks/train.ipynb, cell 1, line 1)\n  mend: give another value, or change the declaration.",
    ),
    (
        "stages: [{name: train, params: {yer: 1}}]",
        "line 1: unknown parameter 'yer'.\n  known parameters: year\n  mend: did you mean 'year'?",
    ),
    (
        "stages: [{name: trian}]",
        "line 1: the stage 'trian' has no notebook.\n  known stages: train\n  mend: did you mean 'train'?",
    ),
    (
        "stages:\n- name: score\n  notebook: notebooks/trai.ipynb",
        "line 3: the notebook 'notebooks/trai.ipynb' is not there.\n  known notebooks: notebooks/train.ipynb\n  mend: did you mean 'notebooks/train.ipynb'?",
    ),
    (
        "stages: [{name: train}, {name: train}]",
        "line 1: the stage 'train' is listed twice.\n  mend: make one item of the two.",
    ),
    (
        "stages: [{retries: 1}]",
        "line 1: item 1 of 'stages' names no stage.\n  mend: write `name: STAGE`, and `notebook: FILE` where it has another name.",
    ),
    (
        "stages: [train]",
        "line 1: item 1 of 'stages' is 'train'; it wants a mapping.\n  mend: write `key: value` lines, indented under it.",
    ),
    (
        "notebooks: ['notebooks/*.ipynb', '../x/*.ipynb']",
        "line 1: the pattern '../x/*.ipynb' leaves the project.\n  mend: write it relative to the project's root, without `..`.",
    ),
    (
        "notebooks: ['notebooks/*.ipynb', nb/a.ipynb]",
        "line 1: the pattern 'nb/a.ipynb' matches no notebook.\n  mend: mend the pattern; it starts from the project's root.",
    ),
    (
        "environment: locked",
        "line 1: 'environment' is 'locked'; it wants imported, none, or {lock: FILE}.\n  mend: write, for example, `environment: {lock: requirements.lock}`.",
    ),
    (
        "profiles: {dev: {parms: {}}}",
        "line 1: unknown key 'parms'.\n  known keys: alerts, defaults, environment, executor, kernels, params, schedule, stages, store, tracking\n  mend: did you mean 'params'?",
    ),
    ("params: {1: 2}", "line 1: the key 1 is no text.\n  mend: put it in quotes: '1'."),
]


@pytest.mark.parametrize(("text", "words"), PIPELINE_YAML)
def test_complaints_of_pipeline_yaml(root, text, words):
    stage(root, code("year: int = 2013", "parameters"))
    (root / "pipeline.yaml").write_text(text, encoding="utf-8")
    assert told(root) == [f"pipeline.yaml, {words}"]


@pytest.mark.parametrize(
    ("schedule", "text"),
    [
        ("{cron: '0 3 * *'}", "cron '0 3 * *' has 4 fields, not five.\n  mend: write minute, hour, "),
        ("0 25 * * *", "cron '0 25 * * *': '25' is no hour.\n  mend: write 0 to 23, "),
        ("{cron: '0 3 * * mon-foo'}", "cron '0 3 * * mon-foo': 'mon-foo' is no day of the week."),
        ("{cron: '*/0 3 * * *'}", "cron '*/0 3 * * *': '*/0' is no minute."),
        ("{cron: '@daily', timezone: Europe/Berlim}", "there is no time zone 'Europe/Berlim'.\n  mend: did you mean "),
        ("[1]", "'schedule' is a list; it wants cron's five fields, or a word such as `@daily`."),
        ("{cron: 3}", "'cron' is 3; it wants cron's five fields, or a word such as `@daily`."),
        (f"'{'9' * 5000} 3 * * *'", "cron '999"),
        ("{timezone: UTC}", "the schedule has a time zone, and no 'cron'."),
        ("{cron: x, timezone: UTC}", "cron 'x' has 1 field, not five."),
    ],
)  # fmt: skip
def test_schedules_that_make_no_sense(root, schedule, text):
    stage(root, code("year: int = 2013", "parameters"))
    (root / "pipeline.yaml").write_text(f"name: x\nschedule: {schedule}\n")
    (said,) = told(root)
    assert said.startswith(f"pipeline.yaml, line 2: {text}")


@pytest.mark.parametrize("schedule", ["30 3 * * MON-Fri", "{cron: ' 30 3 * *  mon-fri ', timezone: null}"])
def test_a_schedule_may_be_written_short(root, schedule):
    stage(root, code("year: int = 2013", "parameters"))
    (root / "pipeline.yaml").write_text(f"name: x\nschedule: {schedule}\n")
    spec, complaints = read_project(root)
    assert complaints == ()
    assert spec.schedule["cron"] == "30 3 * * mon-fri"


def test_unknown_profiles(root):
    stage(root, PARAMETERS)
    assert told(root, profile="dev") == [
        "pipeline.yaml: the profile 'dev' is not known: there is no pipeline.yaml.\n  mend: leave --profile out."
    ]
    write_files(root, {"pipeline.yaml": "profiles: {prod: {}}"})
    assert told(root, profile="prd") == [
        "pipeline.yaml, line 1: the profile 'prd' is not known.\n  known profiles: prod\n  mend: did you mean 'prod'?"
    ]


def test_a_file_of_nearly_the_right_name(root):
    stage(root, PARAMETERS)
    write_files(root, {"pipeline.yml": "name: x"})
    assert told(root) == [
        "pipeline.yml: the file is not read: its name is not pipeline.yaml.\n  mend: rename it to pipeline.yaml."
    ]


def test_every_complaint_is_gathered_in_order(root):
    stage(root, header("retires: 1"), name="b")
    stage(root, code("x = f()", "inputs"), code("y = g()", "outputs"), name="a")
    write_files(root, {"pipeline.yaml": "nmae: x\nstages: [{name: c}]", "notebooks/d.ipynb": "{"})
    spec, complaints = read_project(root)
    assert [(one.where.path, one.where.cell, one.where.line) for one in complaints] == [
        ("notebooks/a.ipynb", 1, 1),
        ("notebooks/a.ipynb", 2, 1),
        ("notebooks/b.ipynb", 1, 3),
        ("notebooks/d.ipynb", None, 1),
        ("pipeline.yaml", None, 1),
        ("pipeline.yaml", None, 2),
    ]
    assert [one.name for one in spec.stages] == ["a", "b"]


def test_exit_codes(root):
    stage(root, code("year: int = 2013", "parameters"))
    write_files(root, {"pipeline.yaml": "params: {yaer: 1}"})
    assert [one.exit_code for one in read_project(root)[1]] == [ExitCode.PIPELINE]
    write_files(root, {"pipeline.yaml": "parms: {yaer: 1}"})
    assert [one.exit_code for one in read_project(root)[1]] == [ExitCode.USAGE]


def test_nothing_of_the_project_is_evaluated(root):
    trap = f"__import__('pathlib').Path({str(root / 'made')!r}).touch()"
    stage(
        root,
        header(
            f'outputs: {{a: "{{x.__class__}}"}}\nparams: {{p: !!python/object/apply:os.system ["touch {root}/made"]}}'
        ),
        code(f"p: {trap} = {trap}\nq = f'{{{trap}}}'", "parameters"),
        code(f"a = {trap}", "outputs"),
    )
    read_project(root)
    assert not (root / "made").exists()
