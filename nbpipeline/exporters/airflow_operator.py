"""The fixed part of a DAG file: imports, and the operator that runs one instance."""

NAMES = frozenset(
    {
        *("json", "os", "shutil", "signal", "timedelta", "Path", "suppress", "TimeoutExpired"),
        *("SubprocessHook", "DAG", "Asset", "AssetOrTimeSchedule", "BaseOperator", "Connection"),
        *("CronTriggerTimetable", "Param", "Variable", "AirflowException", "AirflowFailException"),
        *("AirflowSkipException", "AirflowTaskTimeout", "TaskGroup", "mask_secret", "assets", "RunStage"),
        *("k8s", "pod", "PROJECT", "COMMAND", "EXECUTED", "NOT_RETRIED", "asset", "secret"),
    }
)
"""What a DAG file calls something already."""

_EXCEPTIONS = "AirflowException, AirflowFailException, AirflowSkipException, AirflowTaskTimeout"
_SOURCES = {"variables": ("Variable", "Variable.get(name)"), "connections": ("Connection", "_password(name)")}


def head(
    *, timetable: bool, both: bool, groups: bool, durations: bool, pods: bool, secrets: str
) -> list[str]:
    """Give the imports, and what a task's paths are called among Airflow's Assets."""
    names = {"DAG", "Asset", "BaseOperator", "Param"}
    names |= {"CronTriggerTimetable"} if timetable else set()
    names |= {"AssetOrTimeSchedule"} if both else set()
    names |= {"TaskGroup"} if groups else set()
    names |= {_SOURCES[secrets][0]} if secrets else set()
    order = sorted(names, key=lambda one: (not one.isupper(), one))
    return [
        "import json",
        "import os",
        "import shutil",
        "import signal",
        "from contextlib import suppress",
        *(["from datetime import timedelta"] if durations else []),
        "from pathlib import Path",
        "from subprocess import TimeoutExpired",
        "",
        "from airflow.providers.standard.hooks.subprocess import SubprocessHook",
        f"from airflow.sdk import {', '.join(order)}",
        f"from airflow.sdk.exceptions import {_EXCEPTIONS}",
        *(["from airflow.sdk.log import mask_secret"] if secrets else []),
        *(["from kubernetes.client import models as k8s"] if pods else []),
        "",
    ]


def body(*, secrets: str, pods: bool) -> list[str]:
    """Give the operator, and how it comes by secrets and pods."""
    text = _PODS + _BODY if pods else _BODY
    if secrets:
        text = text.replace("*, arguments, **options", "*, arguments, secrets=(), **options")
        text = text.replace(_KEPT, f"{_KEPT}        self.secrets = secrets\n")
        text = text.replace("env=dict(os.environ)", "env={**os.environ, **self._secrets()}")
        text += _TAKEN.replace("SOURCE", _SOURCES[secrets][1].replace("_password(name)", _PASSWORD))
    return text.strip("\n").split("\n")


_PASSWORD = "Connection.get(name).password"  # noqa: S105 - the words, not a password
_KEPT = "        self.arguments = arguments\n"

_BODY = '''
def assets(*paths):
    """Name files as Airflow's Assets: by their own URL, or that of their place on the workers."""
    places = [one if "://" in one else Path(os.path.normpath(PROJECT / one)).as_uri() for one in paths]
    return [Asset(uri=one) for one in places]


class RunStage(BaseOperator):
    """Runs one instance of a stage: `nbpipeline run-stage`. What is fresh is shown as skipped."""

    ui_color = "#fdf0e1"

    def __init__(self, *, arguments, **options):
        super().__init__(**options)
        self.arguments = arguments
        self.hook = None

    def execute(self, context):
        if not PROJECT.is_dir() or not shutil.which(COMMAND[0]):
            missing = COMMAND[0] if PROJECT.is_dir() else PROJECT
            raise AirflowFailException(f"{missing} is not on this worker; see --set project, --set command")
        run = context["run_id"].replace("/", "_").lstrip(".")
        place = EXECUTED / self.dag_id / run / f"{self.task_id}-{context['ti'].try_number}"
        notebook, result = Path(f"{place}.ipynb"), Path(f"{place}.json")
        result.unlink(missing_ok=True)
        given = ["--params", json.dumps(dict(context["params"]))]
        left = ["--executed", str(notebook), "--result", str(result)]
        code = self._call([*COMMAND, *self.arguments, *given, *left])
        told = json.loads(result.read_text("utf-8"), parse_constant=str) if result.exists() else {}
        self._show(told, context)
        if code in NOT_RETRIED:
            raise AirflowFailException(f"{self.task_display_name}: exit code {code}, not to be tried again")
        if code:
            raise AirflowException(f"{self.task_display_name}: exit code {code}")
        if told.get("status") == "fresh":
            raise AirflowSkipException("fresh: its result stands")

    def _call(self, words):
        self.hook = SubprocessHook()
        try:
            return self.hook.run_command(words, env=dict(os.environ), cwd=str(PROJECT)).exit_code
        except AirflowTaskTimeout:  # it restores what was there before another try may begin
            self.on_kill()
            try:
                self.hook.sub_process.communicate(timeout=60)
            except TimeoutExpired:
                os.killpg(self.hook.sub_process.pid, signal.SIGKILL)
            raise

    def on_kill(self):
        """Pass SIGTERM on to the command's processes; it restores what was there, and exits with 130."""
        if self.hook is not None:
            with suppress(ProcessLookupError):
                self.hook.send_sigterm()

    def _show(self, told, context):
        """Show what became of it: in the log, as XCom, and with the Assets that it has updated."""
        if told.get("notebook"):
            self.log.info("Executed notebook: %s", told["notebook"])
        for name in ("status", "notebook", "metrics", "checks"):
            if told.get(name):
                context["ti"].xcom_push(key=name, value=told[name])
        for output in told.get("outputs", ()):
            for asset in assets(output["path"]):
                if asset in self.outlets:
                    context["outlet_events"][asset].extra = {key: output[key] for key in ("digest", "bytes")}
'''

_PODS = '''
def pod(cpu, memory=None, gpus=None):
    """Ask the KubernetesExecutor for what a stage needs; memory and GPUs are limits, too."""
    limits = {"memory": memory, "nvidia.com/gpu": gpus}
    limits = {name: str(one) for name, one in limits.items() if one is not None}
    asked = k8s.V1ResourceRequirements(requests={"cpu": cpu, **limits}, limits=limits)
    spec = k8s.V1PodSpec(containers=[k8s.V1Container(name="base", resources=asked)])
    return {"pod_override": k8s.V1Pod(spec=spec)}

'''

_TAKEN = '''
    def _secrets(self):
        """Take them when the task runs, not when the file is read; logs show *** instead."""
        found = {name: SOURCE for name in self.secrets}
        for secret in found.values():
            mask_secret(secret)
        return found
'''
