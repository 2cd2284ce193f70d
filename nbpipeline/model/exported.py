"""A pipeline as an orchestrator sees it: tasks that each run one command, and what is set from outside."""

from collections.abc import Mapping
from dataclasses import field

from nbpipeline.model.declared import Resources, Value
from nbpipeline.values import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """A parameter that may be given another value when the workflow is triggered.

    One whose default is worked out from others, or known to the notebook alone, is none.
    """

    name: str
    """`C`, which sets it in all stages that declare it, or `train.C` where they differ."""
    stages: tuple[str, ...]
    types: tuple[str, ...]
    """Of `bool`, `int`, `float`, `str`, `list`, `dict`, `None`; empty: anything that JSON can say."""
    default: Value
    """As JSON has it."""
    choices: tuple[Value, ...] = ()
    min: float | None = None
    max: float | None = None
    help: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """When the workflow runs by itself."""

    cron: str
    """Five fields."""
    timezone: str = "UTC"
    """A name of the tz database."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskCheck:
    """A check on one of a task's inputs or outputs, to be shown; the task itself tries it."""

    artifact: str
    name: str
    severity: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """One instance: what runs it is `nbpipeline run-stage` with its id."""

    id: str
    """`train[region=eu]`."""
    stage: str
    axes: Mapping[str, Value] = field(default_factory=dict)
    description: str = ""
    notebook: str = ""
    """Project path."""
    upstream: tuple[str, ...] = ()
    """Ids of the tasks that it waits for, in run order: by data, or by order alone."""
    stale_with: tuple[str, ...] = ()
    """Of these, the ones that make it stale without a file between (`dependencies`)."""
    inputs: tuple[str, ...] = ()
    """Project paths and URLs that it reads, and modules that count for it."""
    outputs: tuple[str, ...] = ()
    """Project paths and URLs that it writes."""
    unstored: tuple[str, ...] = ()
    """Of these, the ones whose bytes no store keeps (`store: false`)."""
    updated: tuple[str, ...] = ()
    """Of these, the ones that other tasks write on in, too (`mode: update`)."""
    modules: tuple[str, ...] = ()
    """Project paths of the project's own modules that its code imports."""
    settings: tuple[str, ...] = ()
    """Names of the workflow's settings that reach it."""
    retries: int = 0
    retry_delay: float = 0.0
    """Seconds before the second try."""
    retry_backoff: float = 1.0
    """How many times longer each further wait is."""
    timeout: float | None = None
    """Seconds for one try; the command keeps to it by itself."""
    resources: Resources = field(default_factory=Resources)
    secrets: tuple[str, ...] = ()
    """Names of variables that the task's environment has to have."""
    env: tuple[str, ...] = ()
    """Names of variables that count for whether it is fresh."""
    tags: tuple[str, ...] = ()
    checks: tuple[TaskCheck, ...] = ()
    always: bool = False
    """It is to be called every time: `cache: false`, a `fresh_for` that may have passed, a URL it reads."""
    frozen: bool = False
    """Nothing ever makes its outputs: they come with the project."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Workflow:
    """What an exporter renders."""

    name: str
    tasks: tuple[Task, ...]
    """In run order."""
    settings: tuple[Setting, ...] = ()
    schedule: Schedule | None = None
    profile: str | None = None
    """The profile of pipeline.yaml that the tasks run with."""
    store: str = ""
    """The URL of the store that machines share; empty: results stay in a folder."""
    store_folder: str = ""
    """Where a store in a folder stands, a project path or an absolute one; empty: in the default place."""
    trackers: tuple[str, ...] = ()

    @property
    def secrets(self) -> tuple[str, ...]:
        """Names of all variables that tasks take secrets from."""
        return tuple(dict.fromkeys(name for task in self.tasks for name in task.secrets))

    @property
    def env(self) -> tuple[str, ...]:
        """Names of all further variables that count."""
        return tuple(dict.fromkeys(name for task in self.tasks for name in task.env))


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportGiven:
    """What an exporter is told beside the workflow."""

    folder: str = ""
    """The export's folder as a project path; empty: the project's root, or a folder outside it."""
    to_root: str = "."
    """The way from the export's folder to the project's root, with `/`."""
    requirements: tuple[str, ...] = ()
    """`pandas==3.0.6` and the like: what the stages import, and what that needs, pinned."""
    lacking: tuple[str, ...] = ()
    """Names of what is needed there, too, and whose version nobody knows here: it is not installed."""
    python: str = "3.11"
    """Python's version of the stages' kernels."""
    options: Mapping[str, str] = field(default_factory=dict)
    """What `--set` says, by names of the exporter's `OPTIONS`."""
    lossy: bool = False
    """Something is left out that the target cannot say, as the user allowed."""
    repository: str = "."
    """The way from the export's folder to the root of its git repository; `.`: it is that, or in none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Loss:
    """Something that the target would not do as `nbpipeline run` does."""

    feature: str
    """A name of `exporters.rendering.features.FEATURES`."""
    tasks: tuple[str, ...]
    """Ids of the tasks that ask for it; empty: the workflow does."""
    what: str
    """What becomes of it, a sentence."""
    mend: str = ""
    """What else may be said or given to keep it; empty: nothing keeps it."""
