"""What two runs of one project showed and wrote, made comparable.

Only what differs between any two runs is made equal: addresses, pids in names that ipykernel makes, the
folder of the connection file, measured times and the project's own place.
"""

import base64
import hashlib
import io
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

VOLATILE = (
    (re.compile(r"0x[0-9a-f]{6,}"), "0xADDRESS"),
    (re.compile(r"ipykernel_\d+/\d+\.py"), "ipykernel_PID/CELL.py"),
    (re.compile(r"[^\s'\"]*/nbpipeline-\d+-\w+/[^\s'\"]*kernel\.json"), "CONNECTION"),
    (re.compile(r"(?:CPU times: |Wall time: |total: )[^\n]*"), "TIMES"),
    (re.compile(r"The slowest run took [^\n]*\n"), ""),  # of `%timeit`, on a busy machine
    (re.compile(r"[\d.]+ (?:ns|μs|us|µs|ms|s) ± [^\n]*? per loop"), "TIMES per loop"),
    (re.compile(r"\d\d:\d\d<\d\d:\d\d, *[^\]]*\]"), "TIMES]"),
    (re.compile(r"\d{8}-\d{6}-[0-9a-f]{4}"), "RUN"),
)
Seen = dict[str, Any]


def settled(text: str, root: Path) -> str:
    """Hide from a text what differs between any two runs."""
    text = text.replace(str(root), "ROOT")
    for pattern, instead in VOLATILE:
        text = pattern.sub(instead, text)
    return text


def events_of(root: Path) -> list[dict[str, Any]]:
    """Read the events of the newest run."""
    newest = max((root / ".nbpipeline/runs").iterdir())
    return [json.loads(line) for line in (newest / "events.jsonl").read_text(encoding="utf-8").splitlines()]


def seen_in(root: Path) -> dict[str, Seen]:
    """Give for each stage of the newest run how it ended and what its cells showed."""
    newest = max((root / ".nbpipeline/runs").iterdir())
    ends = {one["stage"]: one["data"] for one in events_of(root) if one["kind"] == "stage_finished"}
    return {stage: _stage(newest / stage, data, root) for stage, data in ends.items()}


def _stage(folder: Path, data: Mapping[str, Any], root: Path) -> Seen:
    failure = data.get("failure") or {}
    notebook = json.loads((folder / "attempt-1.ipynb").read_text(encoding="utf-8"))
    code = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    seen: Seen = {
        "status": data["status"],
        "notices": [settled(one, root) for one in data.get("notices", ())],
        "failure": {
            key: settled(json.dumps(failure.get(key), ensure_ascii=False), root)
            for key in ("kind", "what", "mend", "where")
        },
        "language": notebook["metadata"].get("language_info"),
        "widgets": notebook["metadata"].get("widgets"),
    }
    for number, cell in enumerate(code, start=1):
        seen[f"cell {number}"] = [_output(one, root) for one in _joined(cell.get("outputs", []))]
        if failure.get("kind") != "dead_kernel":  # whether a kernel still tells it before it dies is chance
            seen[f"cell {number} count"] = cell.get("execution_count")
    return seen


def _joined(outputs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Join neighbouring pieces of a stream: where a stream is cut is a matter of time."""
    joined: list[dict[str, Any]] = []
    for one in outputs:
        same = joined and one["output_type"] == "stream" == joined[-1]["output_type"]
        if same and joined[-1]["name"] == one["name"]:
            joined[-1] = {**joined[-1], "text": "".join(joined[-1]["text"]) + "".join(one["text"])}
        else:
            joined.append(dict(one))
    return joined


def _output(output: Mapping[str, Any], root: Path) -> dict[str, Any]:
    kind = output["output_type"]
    if kind == "stream":
        return {"kind": kind, "name": output["name"], "text": settled("".join(output["text"]), root)}
    if kind == "error":
        trace = settled("\n".join(output["traceback"]), root)
        return {
            "kind": kind,
            "name": output["ename"],
            "value": settled(output["evalue"], root),
            "trace": trace,
        }
    data = {mime: _datum(mime, value, root) for mime, value in output["data"].items()}
    shown = {"kind": kind, "data": data, "metadata": output.get("metadata")}
    return {**shown, "count": output.get("execution_count")}


def _datum(mime: str, value: Any, root: Path) -> Any:
    if mime == "image/png":
        return _pixels(base64.b64decode("".join(value)))
    if isinstance(value, (str, list)):
        return settled("".join(map(str, value)), root)
    return value


def _pixels(png: bytes) -> str:
    from PIL import Image

    image = Image.open(io.BytesIO(png)).convert("RGBA")
    return f"{image.size[0]}x{image.size[1]} {hashlib.sha256(image.tobytes()).hexdigest()}"


def files_in(folder: Path) -> dict[str, str]:
    """Give digest and mode of each file under a folder; pictures by their pixels."""
    found = {}
    for path in sorted(one for one in folder.rglob("*") if one.is_file()):
        data = path.read_bytes()
        what = _pixels(data) if path.suffix == ".png" else hashlib.sha256(data).hexdigest()
        found[path.relative_to(folder).as_posix()] = f"{what} {path.stat().st_mode:o}"
    return found


def differences(one: Seen, other: Seen) -> list[str]:
    """Name what is not equal, both sides shown where they part."""
    told = []
    for key in [*one, *(key for key in other if key not in one)]:
        first, second = (
            json.dumps(each.get(key), ensure_ascii=False, sort_keys=True) for each in (one, other)
        )
        if first != second:
            part = next(
                (n for n, pair in enumerate(zip(first, second, strict=False)) if len(set(pair)) > 1), 0
            )
            begin = max(0, part - 60)
            told.append(f"{key}:\n  {first[begin : part + 240]}\n  {second[begin : part + 240]}")
    return told
