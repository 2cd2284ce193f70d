"""Texts of the export to Dagster: the factory that makes a stage's assets, the README."""

FACTORY = '''
def stage_assets(
    *,
    name: str,
    command: list[str],
    outputs: dict[str, str],
    deps: list[str],
    group: str,
    description: str = "",
    checks: list[list[Any]] = [],
    retries: int = 0,
    retry_delay: float = 0.0,
    timeout: float | None = None,
    tags: dict[str, Any] = {},
    raw: list[str] = [],
) -> dg.AssetsDefinition:
    """Make the assets of a stage: one for each file that it writes, all by one `nbpipeline run-stage`.

    `outputs` are paths in the project by asset key, `checks` are lists of name, artifact, check and whether
    it fails the stage, `raw` what it reads that no stage makes.
    """
    first = next(iter(outputs))

    @dg.multi_asset(
        name=name,
        specs=[
            dg.AssetSpec(
                key,
                deps=deps,
                group_name=group,
                description=description or None,
                kinds={"jupyter"},
                metadata={"path": path, "raw inputs": raw},
            )
            for key, path in outputs.items()
        ],
        check_specs=[
            dg.AssetCheckSpec(check, asset=first, blocking=fails) for check, _, _, fails in checks
        ],
        retry_policy=dg.RetryPolicy(max_retries=retries, delay=retry_delay) if retries else None,
        op_tags=tags,
    )
    def made(context: dg.AssetExecutionContext, parameters: Parameters) -> Iterator[Any]:
        result = run_stage(context, name, command, parameters.as_json(), timeout)
        held = result.get("status") in {"fresh", "restored"}  # the checks were tried when it was made
        yield from check_results(first, checks, result.get("checks", []), held)
        if result["exit_code"]:
            told = (result.get("failure") or {}).get("what") or f"exit code {result['exit_code']}"
            # 1: a stage failed; 7: another run held it. A check (4) will fail the next time, too.
            raise dg.Failure(told, allow_retries=result["exit_code"] in {1, 7})
        digests = {one["path"]: one for one in result["outputs"]}
        for key, path in outputs.items():
            metadata: dict[str, Any] = {"status": result["status"], **result["metrics"]}
            if path in digests:
                metadata |= {"digest": digests[path]["digest"], "bytes": digests[path]["bytes"]}
            if result["notebook"]:
                metadata["executed notebook"] = dg.MetadataValue.notebook(result["notebook"])
            version = digests.get(path, {}).get("digest")
            yield dg.MaterializeResult(
                asset_key=key, metadata=metadata, data_version=dg.DataVersion(version) if version else None
            )

    return made


def run_stage(
    context: dg.AssetExecutionContext, name: str, command: list[str], params: str, timeout: float | None
) -> dict[str, Any]:
    """Run the command, its output in the step's log; gives what it says of itself."""
    notebook = EXECUTED / context.run_id / f"{name}.ipynb"
    with tempfile.TemporaryDirectory() as folder:
        result = Path(folder) / "result.json"
        words = [*command, "--params", params, "--executed", str(notebook), "--result", str(result)]
        context.log.info(" ".join(command))
        process = subprocess.Popen(words, cwd=PROJECT, env=os.environ)
        try:
            code = process.wait(timeout)
        except BaseException:  # the run is ended: the command brings back what stood there before
            process.terminate()
            try:
                process.wait(60)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            raise
        told = json.loads(result.read_text(encoding="utf-8")) if result.exists() else {}
    return {**told, "exit_code": code}


def check_results(
    first: str, checks: list[list[Any]], found: list[dict[str, Any]], held: bool
) -> Iterator[Any]:
    """Give what became of each check; one that was not tried did not pass, unless it had held before."""
    left = list(found)
    for check, artifact, kind, fails in checks:
        tried = next((one for one in left if (one["artifact"], one["check"]) == (artifact, kind)), None)
        if tried is not None:
            left.remove(tried)
        yield dg.AssetCheckResult(
            check_name=check,
            asset_key=first,
            passed=bool(tried["passed"] if tried else held),
            severity=dg.AssetCheckSeverity.ERROR if fails else dg.AssetCheckSeverity.WARN,
            description=tried["message"] if tried else "not tried in this run: nothing was made",
        )
'''

README = """# {name}, on Dagster

`definitions.py` has an asset for each file that a stage writes. `nbpipeline` has to be on the PATH of the
code location, and the project where `PROJECT` in that file says.

```console
$ dagster definitions validate -f definitions.py
$ dagster dev -f definitions.py
$ dagster asset materialize -f definitions.py --select '*'
```

Parameters are the resource `parameters`: in the launchpad, or

```console
$ dagster asset materialize -f definitions.py --select '*' \\
    --config-json '{{"resources": {{"parameters": {{"config": {{"NAME": VALUE}}}}}}}}'
```

The image: see the head of `Dockerfile`.
"""
