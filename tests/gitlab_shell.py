"""Creates a pipeline of GitLab from a configuration and runs its jobs as a runner does: inputs, rules, variables, caches, scripts.

Only what exported files use is known, after GitLab's documentation; anything else in a file is refused, so that no test
passes over what it does not understand. A job begins with what is committed, and with the artifacts of the one that it needs; a
variable `NAME@ENVIRONMENT` is set for jobs of that environment alone. Caches and the suffix that keeps those of protected branches apart are real folders.
"""

import hashlib
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

JOB = {
    "stage",
    "image",
    "tags",
    "rules",
    "variables",
    "resource_group",
    "cache",
    "script",
    "after_script",
    "artifacts",
}
TELLS = {
    "stage",
    "image",
    "tags",
    "needs",
    "rules",
    "variables",
    "environment",
    "resource_group",
    "cache",
    "script",
    "allow_failure",
}
INPUT = {"description", "type", "default", "options"}
TYPES = {"string": str, "number": (int, float), "boolean": bool}
INTERPOLATED = re.compile(r"\$\[\[\s*(.*?)\s*\]\]")
VARIABLE = re.compile(r"\$(?:\{(\w+)\}|(\w+))")
TOKEN = re.compile(r'\s*(?:(==|!=|&&|\|\||\(|\))|"([^"]*)"|\$(\w+)|(null))')


class RefusedError(Exception):
    """GitLab makes no pipeline of this."""


# --- the configuration -----------------------------------------------------------------------


def configured(file: Path, given: Mapping[str, Any]) -> dict[str, Any]:
    """Read a file and fill in its inputs; `include` of local files with inputs, too."""
    header, body = documents(file)
    inputs = checked_inputs(header.get("spec", {}).get("inputs", {}), given)
    filled = interpolated(body, inputs)
    for one in filled.pop("include", []):
        if set(one) - {"local", "inputs"}:
            raise RefusedError(f"unknown keys of include: {sorted(one)}")
        filled = configured(project_of(file) / one["local"], one.get("inputs", {})) | filled
    return filled


def project_of(file: Path) -> Path:
    """The folder of the repository that a configuration stands in."""
    return next(one for one in file.parents if (one / ".gitlab-ci.yml").exists())


def documents(file: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Give the header and the rest."""
    found = [*yaml.safe_load_all(file.read_text(encoding="utf-8"))]
    header, body = found if len(found) == 2 else ({}, *found)
    if set(header) - {"spec"}:
        raise RefusedError(f"unknown keys of the header: {sorted(header)}")
    return header, body


def checked_inputs(spec: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    if len(spec) > 20:
        raise RefusedError("more than 20 inputs")
    if unknown := set(given) - set(spec):
        raise RefusedError(f"Given inputs not defined in the spec: {sorted(unknown)}")
    found = {}
    for name, one in spec.items():
        if set(one) - INPUT:
            raise RefusedError(f"unknown keys of input {name}: {sorted(one)}")
        if name not in given and "default" not in one:
            raise RefusedError(f"input {name}: required value has not been provided")
        value = given.get(name, one.get("default"))
        kind = one.get("type", "string")
        if not isinstance(value, TYPES[kind]) or (kind == "number" and isinstance(value, bool)):
            raise RefusedError(f"input {name}: {value!r} is not a {kind}")
        if "options" in one and value not in one["options"]:
            raise RefusedError(f"input {name}: {value!r} is not among {one['options']}")
        if isinstance(value, str) and len(value.encode()) >= 1024:
            raise RefusedError(f"input {name}: 1 KB or more")
        found[name] = value
    return found


def interpolated(node: Any, inputs: Mapping[str, Any]) -> Any:
    """Fill in `$[[ inputs.x ]]`: alone it keeps its type, within a text it becomes text; once, never again."""
    if isinstance(node, Mapping):
        return {interpolated(key, inputs): interpolated(one, inputs) for key, one in node.items()}
    if isinstance(node, list):
        return [interpolated(one, inputs) for one in node]
    if not isinstance(node, str):
        return node
    whole = INTERPOLATED.fullmatch(node)
    if whole:
        return _input(whole.group(1), inputs)
    return INTERPOLATED.sub(lambda one: _ruby(_input(one.group(1), inputs)), node)


def _input(access: str, inputs: Mapping[str, Any]) -> Any:
    head, _, name = access.partition(".")
    if head != "inputs" or name not in inputs:
        raise RefusedError(f"unknown interpolation: {access}")
    return inputs[name]


def _ruby(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


# --- rules -----------------------------------------------------------------------------------


def holds(text: str, variables: Mapping[str, str]) -> bool:
    """Work out `rules:if`: variables, texts, null; == != && || and brackets. A variable that is not set is null."""
    tokens, place = [], 0
    while place < len(text.rstrip()):
        match = TOKEN.match(text, place)
        if match is None:
            raise RefusedError(f"invalid expression syntax: {text!r} at {place}")
        tokens.append(match)
        place = match.end()
    found = _either(tokens, variables)
    if tokens:
        raise RefusedError(f"invalid expression syntax: {text!r}")
    return bool(found)


def _sign(tokens: list[re.Match[str]], *signs: str) -> str:
    return tokens.pop(0).group(1) if tokens and tokens[0].group(1) in signs else ""


def _either(tokens: list[re.Match[str]], variables: Mapping[str, str]) -> Any:
    found = _both(tokens, variables)
    while _sign(tokens, "||"):
        other = _both(tokens, variables)
        found = found or other
    return found


def _both(tokens: list[re.Match[str]], variables: Mapping[str, str]) -> Any:
    found = _compared(tokens, variables)
    while _sign(tokens, "&&"):
        other = _compared(tokens, variables)
        found = found and other
    return found


def _compared(tokens: list[re.Match[str]], variables: Mapping[str, str]) -> Any:
    found = _value(tokens, variables)
    if sign := _sign(tokens, "==", "!="):
        return (found == _value(tokens, variables)) is (sign == "==")
    return found


def _value(tokens: list[re.Match[str]], variables: Mapping[str, str]) -> Any:
    if _sign(tokens, "("):
        found = _either(tokens, variables)
        if not _sign(tokens, ")"):
            raise RefusedError("invalid expression syntax: a bracket is open")
        return found
    if not tokens or tokens[0].group(1):
        raise RefusedError("invalid expression syntax: a value is missing")
    _, quoted, name, _ = tokens.pop(0).groups()
    return variables.get(name) if name else quoted


# --- the job ---------------------------------------------------------------------------------


@dataclass
class Ran:
    """What a job did."""

    ok: bool
    script: subprocess.CompletedProcess[str]
    after: subprocess.CompletedProcess[str]
    artifacts: dict[str, Path]
    told: subprocess.CompletedProcess[str] | None = None
    """The job that needs it; None where its rules leave it out."""
    keys: dict[str, str] = field(default_factory=dict)
    """Of caches: by key as the runner stores it, the policy."""


@dataclass(frozen=True)
class Runner:
    """A machine that runs jobs, with the caches that it keeps."""

    caches: Path
    environment: Mapping[str, str]
    separate: bool = True
    """The project's setting "Use separate caches for protected branches"."""

    def run(
        self,
        root: Path,
        predefined: Mapping[str, str],
        inputs: Mapping[str, Any] | None = None,
        without: frozenset[str] = frozenset(),
    ) -> Ran | None:
        """Create the pipeline and run its job, then the one that needs it; None where the rules leave it out.

        `without`: lines left out.
        """
        found = configured(root / ".gitlab-ci.yml", inputs or {})
        (name, other) = found
        job, tells = found[name], found[other]
        for one, known in ((job, JOB), (tells, TELLS)):
            if set(one) - known:
                raise RefusedError(f"unknown keys of the job: {sorted(set(one) - known)}")
        rule = _rule(job, predefined)
        if rule is None:
            return None
        variables = _variables(job["variables"] | rule.get("variables", {}), _scoped(predefined, ""))
        committed = self._committed(root)
        keys = dict(self._pulled(job["cache"], root, variables))
        script = self._shell([one for one in job["script"] if one not in without], root, variables)
        ok = script.returncode == 0
        status = {"CI_JOB_STATUS": "success" if ok else "failed"}
        after = self._shell(job["after_script"], root, variables | status)
        kept = job["artifacts"]
        if kept["when"] != "always":
            raise RefusedError(f"artifacts: when: {kept['when']}")
        artifacts = {one: root / one for one in kept["paths"] if (root / one).exists()}
        self._pushed(job["cache"], root, variables, ok=ok)
        told = self._tell(tells, committed, artifacts, predefined, needed=name)
        return Ran(ok, script, after, artifacts, told, keys)

    def _committed(self, root: Path) -> Path:
        """Keep what a job begins with: what runs leave behind is not committed."""
        place = root.parent / f"{root.name}-committed"
        shutil.rmtree(place, ignore_errors=True)
        shutil.copytree(
            root, place, ignore=shutil.ignore_patterns(".nbpipeline", "report.html", "summary.md")
        )
        return place

    def _tell(
        self,
        job: Mapping[str, Any],
        place: Path,
        artifacts: Mapping[str, Path],
        predefined: Mapping[str, str],
        needed: str,
    ) -> subprocess.CompletedProcess[str] | None:
        rule = _rule(job, predefined)
        if rule is None:
            return None
        if job["needs"] != [needed] or rule["when"] != "always" or job["cache"]:
            raise RefusedError("the second job has what is not known here")
        if job["variables"] != {"GIT_STRATEGY": "clone"} or not job["allow_failure"]:
            raise RefusedError("the second job begins with what others left behind")
        for path, found in artifacts.items():
            copy = shutil.copytree if found.is_dir() else shutil.copy2
            (place / path).parent.mkdir(parents=True, exist_ok=True)
            copy(found, place / path)
        environment = job["environment"]
        if environment["action"] not in {"prepare", "verify", "access"}:
            raise RefusedError("it would count as a deployment")
        variables = _variables(job["variables"], _scoped(predefined, environment["name"]))
        return self._shell(job["script"], place, variables)

    def _shell(
        self, lines: list[str], root: Path, variables: Mapping[str, str]
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", "\n".join(lines)],
            cwd=root,
            env={**self.environment, **variables},
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
        )

    def _key(self, key: Any, root: Path, variables: Mapping[str, str]) -> str:
        if isinstance(key, Mapping):
            if set(key) != {"files", "prefix"}:
                raise RefusedError(f"cache: key: {sorted(key)}")
            data = b"".join((root / one).read_bytes() for one in key["files"])
            key = f"{key['prefix']}-{hashlib.sha256(data).hexdigest()[:20]}"
        found = expanded(key, variables)
        if "/" in found or found in {".", ""}:
            raise RefusedError(f"cache: key: {found}")
        kind = "protected" if variables.get("CI_COMMIT_REF_PROTECTED") == "true" else "non_protected"
        return f"{variables['CI_PROJECT_ID']}-{found}{f'-{kind}' if self.separate else ''}"

    def _pulled(
        self, caches: list[dict[str, Any]], root: Path, variables: Mapping[str, str]
    ) -> Iterator[tuple[str, str]]:
        if len(caches) > 4:
            raise RefusedError("more than four caches")
        for one in caches:
            if set(one) - {"key", "fallback_keys", "paths", "policy", "when"}:
                raise RefusedError(f"unknown keys of a cache: {sorted(one)}")
            policy = expanded(one["policy"], variables)
            if policy not in {"pull", "push", "pull-push"}:
                raise RefusedError(f"cache: policy: {policy}")
            names = [self._key(key, root, variables) for key in (one["key"], *one.get("fallback_keys", []))]
            yield names[0], policy
            there = next((self.caches / name for name in names if (self.caches / name).exists()), None)
            if there is not None and "pull" in policy:
                shutil.copytree(there, root, dirs_exist_ok=True)

    def _pushed(
        self, caches: list[dict[str, Any]], root: Path, variables: Mapping[str, str], *, ok: bool
    ) -> None:
        for one in caches:
            if "push" not in expanded(one["policy"], variables) or not (ok or one.get("when") == "always"):
                continue
            place = self.caches / self._key(one["key"], root, variables)
            shutil.rmtree(place, ignore_errors=True)
            for path in one["paths"]:
                if path.startswith("/") or ".." in path.split("/"):
                    raise RefusedError(f"cache: paths: {path} is outside the project")
                source, target = root / path, place / path
                if source.is_dir():
                    shutil.copytree(source, target)
                elif source.exists():
                    target.parent.mkdir(parents=True, exist_ok=True)
                    shutil.copy2(source, target)


def _rule(job: Mapping[str, Any], predefined: Mapping[str, str]) -> Mapping[str, Any] | None:
    """Choose the first rule that holds; those see no variable of an environment."""
    rule = next((one for one in job["rules"] if holds(one["if"], _scoped(predefined, ""))), None)
    if rule and set(rule) - {"if", "variables", "when"}:
        raise RefusedError(f"unknown keys of a rule: {sorted(rule)}")
    return rule


def _scoped(variables: Mapping[str, str], environment: str) -> dict[str, str]:
    """Give the variables that a job of the environment has."""
    pairs = [(name.partition("@"), value) for name, value in variables.items()]
    return {name: value for (name, _, scope), value in pairs if scope in ("", environment)}


def _variables(written: Mapping[str, Any], predefined: Mapping[str, str]) -> dict[str, str]:
    found = dict(predefined)
    for name, one in written.items():
        value = one["value"] if isinstance(one, Mapping) else one
        if not isinstance(value, str):
            raise RefusedError(f"variable {name}: {value!r} is no text")
        plain = isinstance(one, Mapping) and one.get("expand") is False
        found[name] = value if plain else expanded(value, predefined)
    settings = {name: one for name, one in predefined.items() if not name.startswith("CI")}
    return found | settings  # what the project sets comes before what the file says


def expanded(text: str, variables: Mapping[str, str]) -> str:
    """Fill in variables as GitLab does; one that is not set is empty."""
    return VARIABLE.sub(lambda one: variables.get(one.group(1) or one.group(2), ""), text)


def predefined(root: Path, source: str = "push", ref: str = "main", **more: str) -> dict[str, str]:
    """Give the variables that GitLab sets in a pipeline of a branch; those of merge requests come by `more`."""
    slug = re.sub(r"[^a-z0-9]", "-", ref.lower())[:63].strip("-")
    branch = {} if source == "merge_request_event" else {"CI_COMMIT_BRANCH": ref}
    return {
        "CI": "true",
        "GITLAB_CI": "true",
        "CI_API_V4_URL": "http://127.0.0.1:9/api/v4",
        "CI_COMMIT_REF_NAME": ref,
        "CI_COMMIT_REF_PROTECTED": "true" if branch and ref == "main" else "false",
        "CI_COMMIT_REF_SLUG": slug,
        "CI_DEFAULT_BRANCH": "main",
        "CI_PIPELINE_SOURCE": source,
        "CI_PROJECT_DIR": str(root),
        "CI_PROJECT_ID": "1",
        **branch,
        **more,
    }


def merge_request(root: Path, ref: str = "more-trees", *, of: str = "1", runs_in: str = "1", **more: str):
    """Give the variables of a merge request into project 1: of a branch of project `of`, run in project `runs_in`."""
    asked = {
        "CI_MERGE_REQUEST_IID": "7",
        "CI_MERGE_REQUEST_PROJECT_ID": "1",
        "CI_MERGE_REQUEST_SOURCE_PROJECT_ID": of,
        "CI_PROJECT_ID": runs_in,
    }
    return predefined(root, "merge_request_event", ref, **asked, **more)
