"""Runs the `run` steps of a GitHub workflow's job as a runner does: bash, `${{ }}` worked out, `if`, `env`, files of commands.

Steps that use an action stand for what the runner's machine has already (a checkout, Python) or keeps (artifacts, caches); they are
told, and done where the test says how. Expressions: literals, contexts, `== != && || !`, `format`, `toJSON`, `always`, `success`, `failure`.
"""

import json
import re
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

TOKEN = re.compile(r"\s*(?:(==|!=|&&|\|\||!|\(|\)|,)|'((?:[^']|'')*)'|(-?\d+(?:\.\d+)?)|([A-Za-z_][\w.-]*))")


EMBEDDED = re.compile(r"\$\{\{((?:'(?:[^']|'')*'|[^'}]|\}(?!\}))*)\}\}")
"""An expression in a text; braces within its quotes do not end it, as in the example of `format` in GitHub's documentation."""


class Expression:
    """A recursive descent over GitHub's expressions."""

    def __init__(self, text: str, contexts: Mapping[str, Any], *, failed: bool) -> None:
        self.tokens = self._split(text)
        self.contexts, self.failed = contexts, failed

    @staticmethod
    def _split(text: str) -> list[tuple[str, Any]]:
        found: list[tuple[str, Any]] = []
        place = 0
        while place < len(text.rstrip()):
            match = TOKEN.match(text, place)
            if match is None:
                raise ValueError(f"no expression of GitHub: {text!r} at {place}")
            sign, quoted, number, name = match.groups()
            if sign is not None:
                found.append(("sign", sign))
            elif quoted is not None:
                found.append(("value", quoted.replace("''", "'")))
            elif number is not None:
                found.append(("value", float(number) if "." in number else int(number)))
            else:
                found.append(("name", name))
            place = match.end()
        return found

    def value(self) -> Any:
        found = self._or()
        if self.tokens:
            raise ValueError(f"more than an expression: {self.tokens}")
        return found

    def _take(self, sign: str) -> bool:
        if self.tokens and self.tokens[0] == ("sign", sign):
            self.tokens.pop(0)
            return True
        return False

    def _or(self) -> Any:
        found = self._and()
        while self._take("||"):
            other = self._and()
            found = found or other
        return found

    def _and(self) -> Any:
        found = self._equal()
        while self._take("&&"):
            other = self._equal()
            found = found and other
        return found

    def _equal(self) -> Any:
        found = self._not()
        for sign, wanted in (("==", True), ("!=", False)):
            if self._take(sign):
                return (found == self._not()) is wanted
        return found

    def _not(self) -> Any:
        return not self._not() if self._take("!") else self._one()

    def _one(self) -> Any:
        if self._take("("):
            found = self._or()
            assert self._take(")")
            return found
        kind, word = self.tokens.pop(0)
        if kind == "value":
            return word
        if self._take("("):
            arguments = []
            while not self._take(")"):
                arguments.append(self._or())
                self._take(",")
            return self._call(word, arguments)
        return self._context(word)

    def _context(self, name: str) -> Any:
        if name in {"true", "false", "null"}:
            return {"true": True, "false": False, "null": None}[name]
        head, *rest = name.split(".")
        if head not in {"inputs", "github", "secrets", "vars", "env"}:
            raise ValueError(f"no context of a job's steps: {name}")
        found: Any = self.contexts.get(head, {})
        for key in rest:
            found = found.get(key) if isinstance(found, Mapping) else None
        return "" if found is None else found

    def _call(self, name: str, arguments: list[Any]) -> Any:
        if name == "format":
            return re.sub(r"\{\{|\}\}|\{(\d+)\}", lambda one: self._part(one, arguments), arguments[0])
        functions: dict[str, Callable[..., Any]] = {
            "toJSON": lambda value: json.dumps(value, ensure_ascii=False),
            "always": lambda: True,
            "success": lambda: not self.failed,
            "failure": lambda: self.failed,
        }
        return functions[name](*arguments)

    @staticmethod
    def _part(match: re.Match[str], arguments: list[Any]) -> str:
        if match.group(1) is None:
            return match.group(0)[0]
        return str(arguments[int(match.group(1)) + 1])


@dataclass
class Done:
    """What a job did."""

    ok: bool = True
    steps: dict[str, subprocess.CompletedProcess[str]] = field(default_factory=dict)
    """By name, of those that ran a script."""
    skipped: list[str] = field(default_factory=list)
    used: list[str] = field(default_factory=list)
    """The actions that were used."""
    summary: str = ""
    left_out: bool = False
    """Its own `if` did not hold."""


def run_job(
    workflow: Path,
    job: str,
    cwd: Path,
    contexts: Mapping[str, Any],
    environment: Mapping[str, str],
    without: frozenset[str] = frozenset(),
) -> Done:
    """Run a job's steps; those named in `without` are left out."""
    text = yaml.safe_load(workflow.read_text(encoding="utf-8"))
    found = text["jobs"][job]
    done = Done()
    if not Expression(str(found.get("if", "success()")), contexts, failed=False).value():
        return Done(left_out=True)
    summary = cwd.parent / f"{cwd.name}-summary.md"
    base = {
        **environment,
        "GITHUB_STEP_SUMMARY": str(summary),
        **_filled(found.get("env", {}), contexts, done),
    }
    for step in found["steps"]:
        name = step.get("name") or step.get("uses")
        if name in without:
            continue
        condition = str(step.get("if", "success()"))
        if "always()" not in condition and "failure()" not in condition:
            condition = f"success() && ({condition})"
        if not Expression(condition, contexts, failed=not done.ok).value():
            done.skipped.append(name)
            continue
        if "uses" in step:
            done.used.append(step["uses"])
            continue
        script = _text(step["run"], contexts, done)
        ended = subprocess.run(
            ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", script],
            cwd=cwd,
            env={**base, **_filled(step.get("env", {}), contexts, done)},
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
        )
        done.steps[name] = ended
        done.ok = done.ok and ended.returncode == 0
    done.summary = summary.read_text(encoding="utf-8") if summary.exists() else ""
    return done


def _filled(values: Mapping[str, Any], contexts: Mapping[str, Any], done: Done) -> dict[str, str]:
    return {name: _text(str(value), contexts, done) for name, value in values.items()}


def _text(text: str, contexts: Mapping[str, Any], done: Done) -> str:
    def filled(match: re.Match[str]) -> str:
        value = Expression(match.group(1), contexts, failed=not done.ok).value()
        return (
            {True: "true", False: "false"}.get(value, str(value)) if isinstance(value, bool) else str(value)
        )

    return EMBEDDED.sub(filled, text)
