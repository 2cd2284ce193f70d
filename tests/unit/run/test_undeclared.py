"""What a run tells of files that its stages opened without declaring them."""

from dataclasses import replace

from pipelines import RUN, SKIP, Worker, do, plan_of, record

from nbpipeline.model import StageResult, Status
from nbpipeline.state.memory import MemoryState


class Undeclaring(Worker):
    """Stages whose records say which files they were seen to read and to write."""

    def __init__(self, state, read=None, written=None) -> None:
        super().__init__()
        self.state, self.read, self.written = state, read or {}, written or {}

    def __call__(self, job, emit, cancel) -> StageResult:
        result = super().__call__(job, emit, cancel)
        name = job.instance.id
        written = self.written.get(name, ())
        seen = replace(record(name), undeclared=(*self.read.get(name, ()), *written), written=written)
        self.state.add_record(seen)
        return replace(result, record=seen)


def told(root, plan, state=None, **seen) -> list[tuple[str, str]]:
    state = state or MemoryState()
    heard = []
    result = do(plan, Undeclaring(state, **seen), root, emit=heard.append, state=state)
    assert {one.status for one in result.results} <= {Status.SUCCEEDED, Status.FRESH}
    return [(one.stage, one.data["text"]) for one in heard if one.kind == "notice"]


def test_who_reads_and_who_writes_a_file_that_nobody_declares(root):
    plan = plan_of({"prepare": RUN, "train": RUN})
    assert told(root, plan, read={"train": ("d/x.txt",)}, written={"prepare": ("d/x.txt",)}) == [
        (
            "prepare",
            (
                "wrote d/x.txt, which it does not declare; it runs every time. Name it in a cell with the tag "
                "`outputs`: then what reads it waits for it, and the stage is skipped while nothing changes"
            ),
        ),
        (
            "train",
            (
                "read d/x.txt, which it does not declare; 'prepare' makes d/x.txt; it runs every time. Name it in a "
                "cell with the tag `inputs`: then the stage runs after what makes it, and is skipped while nothing "
                "changes"
            ),
        ),
    ]


def test_a_file_that_nobody_makes_and_many_of_them(root):
    many = tuple(f"d/{number}.txt" for number in range(6))
    assert told(root, plan_of({"train": RUN}), read={"train": many}) == [
        (
            "train",
            (
                "read d/0.txt, d/1.txt, d/2.txt, d/3.txt and 2 more, which it does not declare; it runs every time. "
                "Name it in a cell with the tag `inputs`: then the stage is skipped while nothing changes"
            ),
        )
    ]


def test_a_maker_of_an_earlier_run_is_named_and_what_is_fresh_is_not_told(root):
    state = MemoryState()
    state.add_record(replace(record("prepare"), undeclared=("d/x.txt",), written=("d/x.txt",)))
    ((stage, text),) = told(
        root, plan_of({"prepare": SKIP, "train": RUN}), state, read={"train": ("d/x.txt",)}
    )
    assert stage == "train"
    assert "; 'prepare' makes d/x.txt; " in text


def test_nothing_is_told_where_all_is_declared(root):
    assert told(root, plan_of({"train": RUN})) == []
