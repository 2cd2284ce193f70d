"""nbpipeline: tagged cells, and nothing else."""

from pathlib import Path

from benchmarks import work
from benchmarks.runners.runner import Runner

VARIANTS: dict[str, tuple[str, ...]] = {"": (), "plain": ("--kernels", "plain")}


def write(project: Path, dag: work.Dag) -> None:
    """Write notebooks, and a pipeline.yaml that says where the project is."""
    declare: dict[str, list[work.Cell]] = {}
    for stage in dag:
        sources = [f"../{work.data(name)}" for name in stage.upstream]
        declare[stage.name] = [
            (f"sources = {sources!r}\n", ("inputs",)),
            (f'output = "../{stage.output}"\n', ("outputs",)),
        ]
    work.write_notebooks(project, dag, declare)
    (project / "pipeline.yaml").write_text("name: benchmark\n", encoding="utf-8")


def variant(name: str, arguments: tuple[str, ...], jobs: int) -> Runner:
    """Give `nbpipeline run` with further arguments."""
    return Runner(
        name=f"nbpipeline {name}".strip(),
        environment="nbpipeline",
        distribution="nbpipeline",
        write=write,
        command=("nbpipeline", "run", f"-j{jobs}", *arguments),
        status=("nbpipeline", "doctor"),
        needs=arguments[0] if arguments else "",
        peer=False,
    )


def runners(jobs: int) -> list[Runner]:
    """Give nbpipeline as it comes, and with plain kernels."""
    return [variant(name, arguments, jobs) for name, arguments in VARIANTS.items()]
