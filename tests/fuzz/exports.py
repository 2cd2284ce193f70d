"""Exports of hostile workflows: what they are made of, and that what went in comes back as data.

`workflows()` gives workflows as a pipeline could be one, with names, values and paths that look like code of each target's
language. `judge` renders one twice, parses each file in its language, and finds in it every parameter's default and every
task's name again, the same and of the same type. Raises AssertionError where something else comes back.
"""

import ast
import builtins
import json
import keyword
import math
import re
import shlex
import traceback
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from oracle import Breach, Find, shape

from nbpipeline import plugins
from nbpipeline.errors import UsageError
from nbpipeline.exporters import azureml_component, dvc, kubeflow_parameters, sagemaker_parameters
from nbpipeline.exporters.rendering import guard
from nbpipeline.model import Resources, at_name
from nbpipeline.model.exported import ExportGiven, Schedule, Setting, Task, TaskCheck, Workflow
from nbpipeline.reading import yaml12

PIECES = (
    *(
        "'",
        '"',
        '"""',
        "'''",
        "\\",
        "\\n",
        "\n",
        "\r",
        "\r\n",
        "\t",
        "\x0b",
        "\x85",
        "\u2028",
        "\u2029",
        "\ufeff",
    ),
    *("\x00", "\x01", "\x1b[31m", "\x7f", "\u202e", "\ud800", "\udfff", "é", "中", "\U0001f600", "e\u0301"),
    *(
        "{{ ds }}",
        "{{$}}",
        "{{$.inputs}}",
        "{{workflow.name}}",
        "{{",
        "}}",
        "{",
        "}",
        "${{ secrets.T }}",
        "${HOME}",
    ),
    *(
        "$(id)",
        "`id`",
        "$$",
        "$",
        "%s",
        "%(x)s",
        "%",
        "#",
        " #",
        "# ",
        "*/",
        "/*",
        "-->",
        "<!--",
        "<%",
        ";",
        "&&",
        "|",
    ),
    *(
        "no",
        "on",
        "null",
        "~",
        "1e3",
        "12e4567",
        "12:30",
        "0o17",
        "1_000",
        ".inf",
        "=",
        "<<",
        "2013-01-01",
        "+1",
        "0x1f",
    ),
    *(
        "!!python/object:os.system",
        "!x",
        "&a",
        "*a",
        "@x",
        "? x",
        "- x",
        ": ",
        "a: b",
        "[",
        "]",
        ",",
        "...",
        "---",
    ),
    *(
        " ",
        "  ",
        "",
        "x" * 3000,
        "word " * 60,
        "False",
        "None",
        "os.system('id')",
        "\\u007b",
        "\\N{DIGIT ONE}",
    ),
)
TEXTS = st.lists(st.sampled_from(PIECES) | st.text(max_size=6), max_size=4).map("".join)
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.sampled_from((0, -1, 2**53, 2**53 + 1, 10**40, -(2**63)))
    | st.floats()
    | st.sampled_from(
        (0.0, -0.0, 1.0, 1e16, 1e-7, 1e22, 5e-324, 1.7e308, float("nan"), float("inf"), float("-inf"))
    )
    | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=8,
)
"""As JSON has values, with what Python's has beside: nan, infinite numbers, halves of surrogate pairs."""
_WORDS = (
    *(
        "all",
        "a-b",
        "a_b",
        "A_b",
        "a-B",
        "a__b",
        "a_b_",
        "_",
        "__",
        "_a",
        "a",
        "A",
        "x" * 200,
        "x" * 199 + "y",
        "y-" * 100,
    ),
    *(
        "None",
        "True",
        "print",
        "os",
        "json",
        "dg",
        "DAG",
        "PARAMS",
        "params",
        "default",
        "pipeline",
        "instance",
        "self",
    ),
    *(
        "on",
        "no",
        "y",
        "null",
        "e1",
        "main",
        "task",
        "flow",
        "wait",
        "stages",
        "settings",
        "run_stage",
        "Parameters",
    ),
    *keyword.kwlist,
)
STAGES = st.sampled_from(_WORDS) | st.from_regex(r"[A-Za-z_][A-Za-z0-9_-]{0,12}", fullmatch=True)
_OF_PYTHON = (
    "C",
    "é",
    "变量",
    "μ",
    "schema",
    "model_config",
    "copy",
    "dict",
    "context",
    "key",
    "name",
    "x1",
    "__class__",
)
PARAMETERS = (
    st.sampled_from(_WORDS + _OF_PYTHON) | st.from_regex(r"[A-Za-z_]\w{0,8}", fullmatch=True)
).filter(lambda name: name.isidentifier() and not keyword.iskeyword(name) and len(name) < 201)
AXES = TEXTS.map(lambda text: "".join(one for one in text if one not in "[],=\n\r\x00") or "x")
_SEGMENTS = st.lists(
    st.sampled_from(
        (
            "a",
            " ",
            "'",
            '"',
            "%",
            "é",
            "中",
            "{{x}}",
            "${x}",
            "$x",
            "#",
            "*",
            "?",
            "[a]",
            "!",
            "\\",
            "-",
            "~",
            "&",
        )
    )
    | st.text("abc.", max_size=3),
    min_size=1,
    max_size=4,
).map(lambda parts: "".join(parts).strip(".") or "a")
PATHS = st.lists(_SEGMENTS, min_size=1, max_size=3).map("/".join)
VARIABLES = st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,20}", fullmatch=True) | st.sampled_from(
    ("PATH", "x" * 100, "_")
)
_KINDS: Mapping[type, str] = {
    bool: "bool",
    int: "int",
    float: "float",
    str: "str",
    list: "list",
    dict: "dict",
}
_BOUNDS = st.sampled_from((None, 0.0, -1.5, 3.0, 1e300, float("inf"), float("-inf")))
_SCHEDULES = (
    Schedule(cron="30 3 * * 1-5", timezone="Europe/Berlin"),
    Schedule(cron="*/5 0-23/2 1,15 jan mon,sun"),
)


@st.composite
def _settings(draw: st.DrawFn, name: str, stages: tuple[str, ...]) -> Setting:
    default = draw(VALUES)
    own = _KINDS.get(type(default))
    others = draw(st.sampled_from(((), ("None",), ("float",), ("str", "None"), ("list",))))
    types = (
        tuple(dict.fromkeys([*([own] if own else []), *others]))
        if draw(st.booleans())
        else (own,)
        if own
        else ()
    )
    number = isinstance(default, int | float) and not isinstance(default, bool)
    return Setting(
        name=name,
        stages=stages,
        types=types,
        default=default,
        choices=tuple(draw(st.lists(st.just(default) | VALUES, max_size=3))) if draw(st.booleans()) else (),
        min=draw(_BOUNDS) if number else None,
        max=draw(_BOUNDS) if number else None,
        help=draw(TEXTS),
    )


@st.composite
def _tasks(
    draw: st.DrawFn, stage: str, axes: Mapping[str, Any], before: tuple[str, ...], made: tuple[str, ...]
) -> Task:
    suffix = ",".join(f"{name}={value}" for name, value in axes.items())
    outputs = tuple(dict.fromkeys(draw(st.lists(PATHS, max_size=2))))
    return Task(
        id=f"{stage}[{suffix}]" if axes else stage,
        stage=stage,
        axes=axes,
        description=draw(TEXTS),
        notebook=draw(PATHS) + ".ipynb",
        upstream=before,
        inputs=tuple(dict.fromkeys([*draw(st.lists(PATHS, max_size=2)), *made])),
        outputs=tuple(one for one in outputs if one not in made),
        retries=draw(st.sampled_from((0, 0, 1, 3, 60))),
        retry_delay=draw(st.sampled_from((0.0, 0.5, 30.0))),
        retry_backoff=draw(st.sampled_from((1.0, 2.0, 1.5))),
        timeout=draw(st.sampled_from((None, 0.5, 3600.0))),
        resources=draw(
            st.sampled_from((Resources(), Resources(cpus=0.5, memory=10**9 + 1, gpus=2), Resources(cpus=3)))
        ),
        secrets=tuple(dict.fromkeys(draw(st.lists(VARIABLES, max_size=2)))),
        env=tuple(dict.fromkeys(draw(st.lists(VARIABLES, max_size=2)))),
        tags=tuple(draw(st.lists(TEXTS, max_size=2))),
        checks=tuple(
            TaskCheck(artifact=one, name="not_null", severity=draw(st.sampled_from(("error", "warn"))))
            for one in draw(st.lists(PARAMETERS, max_size=2))
        ),
        always=draw(st.booleans()),
    )


@st.composite
def workflows(draw: st.DrawFn) -> Workflow:
    """Give a workflow of a few tasks, each with what tasks may say."""
    stages = draw(st.lists(STAGES, min_size=1, max_size=4, unique=True))
    tasks: list[Task] = []
    for stage in stages:
        values = draw(st.lists(AXES, max_size=2, unique=True)) if draw(st.booleans()) else []
        combinations: list[Mapping[str, Any]] = [{"region": one} for one in values] or [{}]
        for axes in combinations:
            before = tuple(one.id for one in tasks) if draw(st.booleans()) else ()
            made = tuple(path for one in tasks for path in one.outputs if one.id in before)
            task = draw(_tasks(stage, axes, before, made))
            others = {path for one in tasks for path in one.outputs}
            tasks.append(replace(task, outputs=tuple(one for one in task.outputs if one not in others)))
    names = draw(st.lists(st.sampled_from(["", *stages]), max_size=4))
    settings = {}
    for owner in names:
        name = draw(PARAMETERS)
        full = f"{owner}.{name}" if owner else name
        settings[full] = draw(_settings(full, (owner,) if owner else tuple(stages)))
    bare = {one for one in settings if "." not in one}
    kept = [one for name, one in settings.items() if name in bare or name.partition(".")[2] not in bare]
    tasks = [
        replace(task, settings=tuple(one.name for one in kept if task.stage in one.stages)) for task in tasks
    ]
    return Workflow(
        name=draw(TEXTS) or "x",
        tasks=tuple(tasks),
        settings=tuple(kept),
        schedule=draw(st.sampled_from((None, *_SCHEDULES))),
        profile=draw(st.none() | TEXTS.filter(bool)),
        store="s3://bucket/prefix",
        trackers=("mlflow",),
    )


GIVENS = st.sampled_from(
    (
        ExportGiven(folder="deploy/x", to_root="../..", requirements=("pandas==3.0",), python="3.12"),
        ExportGiven(folder="", to_root="."),
        ExportGiven(folder="de ploy/'ü' $x", to_root="../.."),
    )
)


# --- the judge -------------------------------------------------------------------------------


def judge(target: str, workflow: Workflow, given: ExportGiven) -> None:
    """Render, parse, and find again what went in. Raises AssertionError."""
    exporter = plugins.load("exporters", target)
    guard.losses(target, exporter, workflow, given)
    try:
        files = guard.render(target, exporter, workflow, given)
    except UsageError:
        return  # said in three parts
    assert dict(guard.render(target, exporter, workflow, given)) == dict(files), (
        "another text the second time"
    )
    parsed = {path: parse(path, text) for path, text in files.items()}
    defaults, commands = READ[target](workflow, files, parsed)
    wanted = {one.name: one.default for one in workflow.settings}
    for name, value in defaults.items():
        assert shape(value) == shape(wanted[name]), f"{name}: {value!r} instead of {wanted[name]!r}"
    if commands is not None:
        assert sorted(commands) == sorted(at_name(task.id) for task in workflow.tasks)


def parse(path: str, text: str) -> Any:
    """Parse a file as what its name says."""
    assert text.endswith("\n")
    text.encode()
    if path.endswith(".py"):
        tree = ast.parse(text)
        assert not (found := undefined(tree)), f"{path} uses {found}"
        return tree
    if path.endswith((".yaml", ".yml")):
        first = [*yaml.safe_load_all(text)]
        second = [yaml12.load(one).value for one in re.split(r"^---\n", text, flags=re.MULTILINE)]
        assert shape(first) == shape(second), "YAML 1.1 and 1.2 read something else"
        return first
    return json.loads(text) if path.endswith(".json") else text


def value_of(node: ast.expr) -> Any:
    """Give the value of a literal; `float("nan")` is one."""
    return eval(compile(ast.Expression(node), "x", "eval"), {"__builtins__": {"float": float}})  # noqa: S307


def undefined(tree: ast.Module) -> set[str]:
    """Give names that are used and nowhere defined: what should be a literal may be one."""
    used, known = set(), {*dir(builtins), "__file__"}
    for node in ast.walk(tree):
        if isinstance(node, ast.Name):
            (used if isinstance(node.ctx, ast.Load) else known).add(node.id)
        elif isinstance(node, ast.arg):
            known.add(node.arg)
        elif isinstance(node, ast.alias):
            known.add((node.asname or node.name).partition(".")[0])
        elif isinstance(node, ast.FunctionDef | ast.ClassDef) or (
            isinstance(node, ast.ExceptHandler) and node.name
        ):
            known.add(node.name)
    return used - known


def _calls(tree: ast.AST, name: str) -> Iterator[ast.Call]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            if called == name:
                yield node


def _keyword(call: ast.Call, name: str) -> Any:
    return value_of(next(one.value for one in call.keywords if one.arg == name))


def _assigned(tree: ast.Module, name: str) -> ast.expr:
    return next(
        one.value
        for one in tree.body
        if isinstance(one, ast.Assign) and getattr(one.targets[0], "id", "") == name
    )


Found = tuple[Mapping[str, Any], list[str] | None]


def _airflow(workflow: Workflow, files: Mapping[str, str], parsed: Mapping[str, Any]) -> Found:
    tree = next(one for path, one in parsed.items() if path.endswith("_dag.py"))
    table = _assigned(tree, "PARAMS")
    assert isinstance(table, ast.Dict)
    params = {value_of(key): one for key, one in zip(table.keys, table.values, strict=True)}
    defaults = {name: value_of(call.args[0]) for name, call in params.items()}
    calls = [*_calls(tree, "RunStage")]
    assert {_keyword(one, "task_id") for one in calls}.__len__() == len(workflow.tasks)
    for call in calls:
        for what in ("inlets", "outlets"):
            for one in call.keywords:
                if one.arg == what:
                    assert isinstance(one.value, ast.Call)
                    paths = tuple(map(value_of, one.value.args))
                    assert any(paths in (task.inputs, task.outputs) for task in workflow.tasks)
    return defaults, [_keyword(one, "arguments")[1] for one in calls]


def _dagster(workflow: Workflow, files: Mapping[str, str], parsed: Mapping[str, Any]) -> Found:
    tree = parsed["definitions.py"]
    cls = next(one for one in tree.body if isinstance(one, ast.ClassDef) and one.name == "Parameters")
    fields = {one.target.id: one.value.args[0] for one in cls.body if isinstance(one, ast.AnnAssign)}
    names = next((one for one in ast.walk(cls) if isinstance(one, ast.Assign)), None)
    pairs = value_of(names.value) if names else {}
    calls = [*_calls(tree, "stage_assets")]
    written = [path for one in calls for path in _keyword(one, "outputs").values() if path]
    assert written == [path for task in workflow.tasks for path in task.outputs]
    return (
        {pairs[name]: value_of(node) for name, node in fields.items()},
        [_keyword(one, "command")[2] for one in calls],
    )


def _prefect(workflow: Workflow, files: Mapping[str, str], parsed: Mapping[str, Any]) -> Found:
    tree = parsed["flow.py"]
    function = next(
        one
        for one in tree.body
        if isinstance(one, ast.FunctionDef)
        and any(getattr(getattr(each, "func", None), "id", "") == "flow" for each in one.decorator_list)
    )
    names = [one.arg for one in function.args.args]
    values = dict(zip(names, map(value_of, function.args.defaults), strict=True))
    table = next(one.value for one in function.body if isinstance(one, ast.AnnAssign))
    pairs = {one.id: value_of(key) for key, one in zip(table.keys, table.values, strict=True)}
    assert len(pairs) == len(workflow.settings)
    (deployment,) = parsed["prefect.yaml"]
    for name, value in deployment["deployments"][0]["parameters"].items():
        assert shape(value) == shape(values[name])
    calls = [one for one in _calls(tree, "submit") if one.keywords]
    return {pairs[name]: value for name, value in values.items()}, [
        _keyword(one, "command")[2] for one in calls
    ]


def _snakemake(workflow: Workflow, files: Mapping[str, str], parsed: Mapping[str, Any]) -> Found:
    (config,) = parsed["config.yaml"]
    text = files["Snakefile"]
    commands = re.findall(
        r"^        command=(lambda wildcards: .*?),\n        values=", text, re.MULTILINE | re.DOTALL
    )
    watched = re.findall(r"^        (lambda wildcards: .*?),\n    output:", text, re.MULTILINE | re.DOTALL)
    bodies = [ast.parse(one, mode="eval").body.body for one in commands]
    notebooks = [value_of(ast.parse(one, mode="eval").body.body)[0] for one in watched]
    assert notebooks == [task.notebook for task in workflow.tasks]
    return config["params"], [value_of(one)[2] for one in bodies]


def _dvc(workflow: Workflow, files: Mapping[str, str], parsed: Mapping[str, Any]) -> Found:
    (found,) = parsed["dvc.yaml"]
    commands = [shlex.split(one["cmd"].replace("\\${", "${")) for one in found["stages"].values()]
    stages = {task.stage for task in workflow.tasks}
    (params,) = parsed.get("params.yaml", [{}])
    defaults = {}
    for setting in workflow.settings:
        for keys in dvc._keys(setting, stages):
            value = params
            for key in keys:
                value = value[key]
            defaults[setting.name] = value
    assert set(defaults) == {one.name for one in workflow.settings}
    assert all(one[one.index("--profile") + 1] == workflow.profile for one in commands if "--profile" in one)
    return defaults, [one[2] for one in commands]


_EXPRESSIONS = re.compile(
    r"\$\{\{ (?:vars|secrets|inputs|github|runner)\.\w+(?:\.\w+)*(?: \|\| '\{\}'| && '--no-push' \|\| '')? \}\}"
    r"|\$\{\{ github\.event_name == 'workflow_dispatch' && format\(.*\) \|\| '\{\}' \}\}"
    r"|\$\{\{ github\.event_name == 'pull_request' && [\w.]+ != github\.repository && '--no-push' \|\| '' \}\}"
)


def _github(workflow: Workflow, files: Mapping[str, str], parsed: Mapping[str, Any]) -> Found:
    (path,) = (
        one for one in files if one.startswith(".github/workflows/")
    )  # called so, or after the pipeline
    (found,) = parsed[path]
    inputs = found["on"]["workflow_dispatch"]["inputs"]
    for text in _texts({**found, "on": {}}):
        assert "${{" not in _EXPRESSIONS.sub("", text), text
    defaults = {name: one["default"] for name, one in inputs.items() if name != "params"}
    numbers = [one for one in defaults.values() if isinstance(one, int | float)]
    assert all(math.isfinite(one) and abs(one) <= 2**53 for one in numbers), (
        "GitHub's numbers are doubles of JSON"
    )
    written = found["jobs"]["pipeline"]["env"].get("NBPIPELINE_INPUTS", "")
    order = re.findall(r"toJSON\(inputs\.(\w+)\)", written)
    names = re.findall(r'"([^"]*)": \{\d+\}', written)
    assert sorted(order) == sorted(defaults)
    return {name: defaults[one] for name, one in zip(names, order, strict=True)}, None


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for key, one in value.items():
            yield from _texts(key)
            yield from _texts(one)
    elif isinstance(value, list):
        for one in value:
            yield from _texts(one)


def _ir(name: str) -> Callable[..., Found]:
    def read(workflow: Workflow, files: Mapping[str, str], parsed: Mapping[str, Any]) -> Found:
        found = parsed[name][0]
        kinds = kubeflow_parameters.given(workflow)
        defined = found["root"].get("inputDefinitions", {"parameters": {}})["parameters"]
        table = value_of(_assigned(parsed["component.py"], "PARAMETERS"))
        assert {pair[0] for pair in table.values()} == {one.name for one in workflow.settings}
        defaults = {}
        for one in kinds.values():
            value = defined[one.name].get("defaultValue")
            defaults[one.setting.name] = (
                json.loads(value) if one.kind == "JSON" and value is not None else value
            )
            assert "{{$" not in str(value)
        tasks = found["root"]["dag"]["tasks"].values()
        names = [one["inputs"]["parameters"]["instance"]["runtimeValue"]["constant"] for one in tasks]
        assert not any("{{$" in one for one in names)
        return defaults, [json.loads(one) if one.startswith('"') else one for one in names]

    return read


_TAGS = re.compile(r"\{\{=toJson\(workflow\.parameters\.(\w+)\)\}\}|\{\{workflow\.parameters\.(\w+)\}\}")


def _argo(workflow: Workflow, files: Mapping[str, str], parsed: Mapping[str, Any]) -> Found:
    (found,) = parsed["workflow-template.yaml"]
    spec = found["spec"]
    values = {one["name"]: one["value"] for one in spec.get("arguments", {"parameters": []})["parameters"]}
    defaults: dict[str, Any] = {}
    instances: list[str] = []
    templates = {one["name"]: one for one in spec["templates"]}
    for template in spec["templates"]:
        for text in _texts(template):
            rest = _TAGS.sub("", text).replace("{{inputs.parameters.instance}}", "")
            assert "{{" not in rest, text
    assert not any("{{" in text for text in _texts(spec.get("arguments")))
    for task in templates[spec["entrypoint"]]["dag"]["tasks"]:
        container = templates[task["template"]]["container"]
        words = [*container["command"], *container["args"]]
        if words[0] == "sh":
            words[1:4] = shlex.split(words[2])[1:4]
            words[3:4] = []
            instance = shlex.split(container["command"][2])[3]
        else:
            instance = words[2]
        given = task.get("arguments", {"parameters": []})["parameters"]
        instances.append(given[0]["value"] if given else instance)
        if "--params" in words:
            text = words[words.index("--params") + 1]
            filled = _TAGS.sub(
                lambda match: json.dumps(values[match[1]]) if match[1] else values[match[2]], text
            )
            defaults |= json.loads(filled)
    return defaults, instances


def _sagemaker(workflow: Workflow, files: Mapping[str, str], parsed: Mapping[str, Any]) -> Found:
    found = parsed["pipeline.json"]
    values = {one["Name"]: one.get("DefaultValue") for one in found["Parameters"]}
    defaults = {}
    for one in sagemaker_parameters.parameters(workflow).values():
        value = values[one.name]
        if one.kind == "number" and isinstance(value, float) and value.is_integer():
            value = int(value)
        defaults[one.setting.name] = json.loads(value) if one.kind == "JSON" else value
    return defaults, [one["Arguments"]["AppSpecification"]["ContainerArguments"][2] for one in found["Steps"]]


_AZURES = re.compile(
    r"\$\{\{(?:outputs\.results|parent\.inputs\.[a-z0-9_]+|parent\.jobs\.[a-z0-9_]+\.outputs\.results)\}\}"
)


def _azureml(workflow: Workflow, files: Mapping[str, str], parsed: Mapping[str, Any]) -> Found:
    (found,) = parsed["pipeline.yml"]
    for path, one in parsed.items():
        if path.endswith(".yml"):
            assert not any("${{" in _AZURES.sub("", text) for text in _texts(one)), path
    inputs = found.get("inputs", {})
    kinds = azureml_component.parameters(workflow)
    assert {*inputs} == {one.name for one in kinds.values()}
    assert len({name.lower() for name in inputs}) == len(workflow.settings), "Azure's names have no case"
    table = value_of(_assigned(parsed["component.py"], "PARAMETERS"))
    assert table == {one.name: (one.setting.name, one.kind) for one in kinds.values()}
    defaults = {
        table[name][0]: json.loads(value) if table[name][1] == "JSON" else value
        for name, value in inputs.items()
    }
    names = dict(zip((task.id for task in workflow.tasks), found["jobs"], strict=True))
    instances = []
    for task in workflow.tasks:
        job = found["jobs"][names[task.id]]
        given_ = job["inputs"]
        instances.append(given_["instance"])
        waits = [f"${{{{parent.jobs.{names[one]}.outputs.results}}}}" for one in task.upstream]
        assert [given_[f"after_{number}"] for number in range(1, len(waits) + 1)] == waits
        assert all(given_[name] == f"${{{{parent.inputs.{name}}}}}" for name in inputs)
        (component,) = parsed[job["component"].removeprefix("./")]
        assert {*component["inputs"]} == {*given_}
    return defaults, [json.loads(one) if one.startswith('"') else one for one in instances]


_INPUT = re.compile(r"=?\$\[\[ inputs\.(\w+) \]\]")


def _gitlab(workflow: Workflow, files: Mapping[str, str], parsed: Mapping[str, Any]) -> Found:
    head, found = next(one for path, one in parsed.items() if path.endswith(".gitlab-ci.yml"))
    listed = next(one for path, one in parsed.items() if path.endswith("inputs.json"))
    assert not any("$[[" in _INPUT.sub("", text) for text in _texts(found))
    inputs = head["spec"]["inputs"]
    job = next(one for one in found.values() if "NBPIPELINE_PARAMS" in one.get("variables", {}))
    defaults = {}
    for variable, one in listed.items():
        given_ = job["variables"][variable]
        assert given_["expand"] is False
        match = _INPUT.fullmatch(given_["value"])
        assert match
        defaults[one["parameter"]] = inputs[match[1]]["default"]
        assert shape(one["default"]) == shape(inputs[match[1]]["default"])
    assert len({*listed, "params"}) == len(inputs)
    numbers = [one for one in defaults.values() if isinstance(one, int | float)]
    assert all(math.isfinite(one) and abs(one) <= 2**53 for one in numbers), "GitLab's numbers are doubles"
    return defaults, None


READ: Mapping[str, Callable[..., Found]] = {
    "airflow": _airflow,
    "argo": _argo,
    "azureml": _azureml,
    "dagster": _dagster,
    "dvc": _dvc,
    "github-actions": _github,
    "gitlab-ci": _gitlab,
    "kubeflow": _ir("kubeflow.yaml"),
    "prefect": _prefect,
    "sagemaker": _sagemaker,
    "snakemake": _snakemake,
    "vertex": _ir("vertex.yaml"),
}


@settings(database=None, deadline=None)
@given(target=st.sampled_from(sorted(READ)), workflow=workflows(), given_=GIVENS)
def _any_target(target: str, workflow: Workflow, given_: ExportGiven) -> None:
    judge(target, workflow, given_)


def tried(data: bytes) -> None:
    """Make a workflow of bytes, and judge what one target makes of it. Raises Breach."""
    try:
        _any_target.hypothesis.fuzz_one_input(data)
    except Exception as error:
        place = traceback.extract_tb(error.__traceback__)[-1]
        where = f"{place.name}, line {place.lineno} ({type(error).__name__})"
        raise Breach(Find("differs", where, str(error)[:2000])) from error
