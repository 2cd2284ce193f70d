"""What the README beside the job for GitLab says: how it is included, what has to be set, the schedule."""

import shlex
from collections.abc import Iterator

from nbpipeline.exporters.rendering.schedule import cron_of
from nbpipeline.exporters.rendering.source import lines, made_by, refuse_halves
from nbpipeline.model.exported import Workflow


def readme(workflow: Workflow, file: str, *, included: bool) -> str:
    """Give README.md. Raises UsageError for a name of the pipeline that no file can hold."""
    text = lines(
        [
            f"<!-- {made_by('gitlab-ci', workflow.profile, sign='').strip()} -->",
            "# The pipeline on GitLab",
            "",
            f"`{file}` holds the job. It installs `requirements.lock`, checks notebooks, plans, runs what is",
            "stale. A second one tells the merge request.",
            "",
            *(_include(file) if included else []),
            *_settings(workflow),
            *_schedule(workflow),
        ]
    )
    refuse_halves(text)
    return text


def _include(file: str) -> list[str]:
    return [
        "Your `.gitlab-ci.yml` includes it, and hands on what is given when a pipeline is started:",
        "",
        "```yaml",
        "spec:",
        "  inputs:",
        '    params: {default: "{}", description: Parameters of the notebooks as JSON}',
        "---",
        "include:",
        f"  - local: {file}",
        "    inputs: {params: '$[[ inputs.params ]]'}",
        "```",
        "",
    ]


def _settings(workflow: Workflow) -> Iterator[str]:
    yield "Settings > CI/CD > Variables:"
    yield ""
    yield "- `NBPIPELINE`: a wheel, or a URL that pip takes, unless the file says it."
    yield "- `NBPIPELINE_GITLAB_TOKEN`, masked, with the environment scope `nbpipeline-comment`: a project"
    yield "  access token, role Reporter, scope `api`. Jobs that run notebooks do not get it then."
    yield "  Without it the summary is in the artifacts alone."
    for name in workflow.secrets:
        yield f"- `{name}`, masked."
    for name in workflow.env:
        yield f"- `{name}`, which may be left out."
    yield ""
    yield "Settings > Merge requests > Merge checks: Pipelines must succeed."


def _schedule(workflow: Workflow) -> Iterator[str]:
    if workflow.schedule is None:
        return
    form = {
        "description": workflow.name,
        "ref": "main",
        "cron": cron_of(workflow.schedule),
        "cron_timezone": workflow.schedule.timezone,
    }
    yield ""
    yield "No file of GitLab's holds a schedule; make it once, or under Build > Pipeline schedules:"
    yield ""
    yield "```console"
    yield '$ curl --fail --header "PRIVATE-TOKEN: $TOKEN" \\'
    for name, value in form.items():
        yield f"    --form-string {shlex.quote(f'{name}={value}')} \\"
    yield "    https://GITLAB/api/v4/projects/PROJECT_ID/pipeline_schedules"
    yield "```"
