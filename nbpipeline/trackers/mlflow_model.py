"""Logs one output of `kind: model` as an MLflow model and registers it: a program, `python -m` this module.

It loads the model, which runs code of the project and of its libraries, so it is a process of its own. What
is to be done comes as JSON on standard input, the fields of `Order`.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from filelock import FileLock

from nbpipeline import plugins
from nbpipeline.content import digest_file, digest_text, tree_listing
from nbpipeline.errors import StorageError
from nbpipeline.model import StoredOutput, Value
from nbpipeline.trackers.mlflow_client import connected
from nbpipeline.trackers.mlflow_values import LONGEST_VALUE
from nbpipeline.values import dataclass

if TYPE_CHECKING:
    import pandas as pd
    from mlflow.tracking import MlflowClient

LOGGED = "nbpipeline.model."
"""Begins the tag of a stage's run that says what became of an output: `NAME version N`, or why not."""
DIGEST, RUN = "nbpipeline.digest", "nbpipeline.run"
OUTPUT = "nbpipeline.output"
"""Tag of a registered model: which output of the pipeline it is."""
ALIASED = "nbpipeline.aliased."
"""Begins the tag of a registered model that says of which run the version with an alias is."""
PICKLES = (".joblib", ".pkl", ".pickle", ".cloudpickle")
FLAVOURS: Mapping[str, tuple[str, str, Mapping[str, str]]] = {
    "sklearn": ("sklearn", "sk_model", {"serialization_format": "cloudpickle"}),
    "xgboost": ("xgboost", "xgb_model", {}),
    "lightgbm": ("lightgbm", "lgb_model", {}),
    "catboost": ("catboost", "cb_model", {}),
    "statsmodels": ("statsmodels", "statsmodels_model", {}),
}
"""A model class's top package -> MLflow's flavour, what it calls the model, what else it is to be told."""
DISTRIBUTIONS = {"sklearn": "scikit-learn"}
"""Where a package has another name on the index."""
EXAMPLE_ROWS = 5
_NICE = 10
"""The stages that run meanwhile go first."""


class NoModelError(Exception):
    """The file is no model that can be logged; says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """One model to log."""

    uri: str
    run_id: str
    ended: str
    """MLflow's status of the run, which logging opens again; `end_time`: its milliseconds of Unix time."""
    end_time: int
    run: str
    output: str
    """The output's declared name: the model's in the run."""
    path: str
    digest: str
    name: str
    """Under which it is registered, unless it stands under another of `names` already."""
    names: tuple[str, ...] = ()
    source: str = ""
    """Which output of the pipeline it is: a name in the registry stays with it."""
    alias: str
    """Given to the version; empty for none."""
    inputs: tuple[str, ...] = ()
    """Tables that the stage read: the first that has the model's features gives its signature."""
    parameters: Mapping[str, Value]
    import_roots: tuple[str, ...] = ()
    folder: str
    """Where the notebook ran."""
    store: str = ""
    """Folder of the store, for bytes that are no longer at `path`; empty for none."""
    spool: str = ""
    """Where they may be put for the while."""


def log_model(order: Order) -> None:
    """Log and register the model, once; only give the alias where its bytes are registered already.

    Raises what MLflow's client does where the server or database refuses. A file that is no model it knows is
    noted in the run's tags.
    """
    client = connected(order.uri)
    tag = LOGGED + order.output
    if tag in client.get_run(order.run_id).data.tags:
        return
    order = replace(order, name=_name(client, order))
    number = _registered(client, order)
    try:
        number = number or _logged(order)
        said = _said(order, number)
        client.set_registered_model_tag(order.name, OUTPUT, order.source)
        _point(client, order, number)
    except NoModelError as error:
        said = f"not logged: {error}"
    finally:
        client.set_terminated(order.run_id, order.ended, end_time=order.end_time)
    client.set_tag(order.run_id, tag, said[:LONGEST_VALUE])


def _name(client: MlflowClient, order: Order) -> str:
    """Find the name that the output has in the registry: another output beside it does not rename it."""
    from mlflow.exceptions import MlflowException  # noqa: PLC0415 - it costs seconds

    for name in (order.name, *order.names):
        try:
            if client.get_registered_model(name).tags.get(OUTPUT) == order.source:
                return name
        except MlflowException as error:
            if error.error_code != "RESOURCE_DOES_NOT_EXIST":  # else trouble of the moment would rename it
                raise
    return order.name


def named_again(client: MlflowClient, order: Order) -> bool:
    """Note and give the alias to a version that has the same bytes; False where there is none.

    It loads nothing, so the tracker does it itself. Raises what MLflow's client does.
    """
    order = replace(order, name=_name(client, order))
    number = _registered(client, order)
    if not number:
        return False
    if LOGGED + order.output not in client.get_run(order.run_id).data.tags:
        client.set_registered_model_tag(order.name, OUTPUT, order.source)
        _point(client, order, number)
        client.set_tag(order.run_id, LOGGED + order.output, _said(order, number))
    return True


def _said(order: Order, number: str) -> str:
    return f"{order.name} version {number}"


def _point(client: MlflowClient, order: Order, number: str) -> None:
    """Give the version the alias, unless a later run was told of already; ids of runs sort by time."""
    tag = f"{ALIASED}{order.alias}"
    if order.alias and client.get_registered_model(order.name).tags.get(tag, "") <= order.run:
        client.set_registered_model_alias(order.name, order.alias, number)
        client.set_registered_model_tag(order.name, tag, order.run)


def _registered(client: MlflowClient, order: Order) -> str:
    """Find the version that has the same bytes; empty where there is none."""
    found = client.search_model_versions(f"name = '{order.name}' AND tags.`{DIGEST}` = '{order.digest}'")
    return max((str(one.version) for one in found), key=int, default="")


def _logged(order: Order) -> str:
    import mlflow  # noqa: PLC0415 - it costs seconds

    mlflow.set_tracking_uri(order.uri)
    with _bytes(order) as path, mlflow.start_run(run_id=order.run_id):
        info = _in_run(order, path)
        made = mlflow.register_model(info.model_uri, order.name, tags={DIGEST: order.digest, RUN: order.run})
    return str(made.version)


@contextlib.contextmanager
def _bytes(order: Order) -> Iterator[Path]:
    """Give the model as its run left it: where it stands, else out of the store. Raises NoModelError."""
    path = Path(order.path)
    if _digest(path) == order.digest:
        yield path
        return
    with TemporaryDirectory(dir=order.spool or None) as folder:
        kept = Path(folder) / path.name  # its ending tells what it is
        if not _taken_out(order, kept):
            why = "was written again, or removed, before MLflow could be told of it, and the store lacks it"
            raise NoModelError(f"{path.name} {why}")
        yield kept


def _taken_out(order: Order, target: Path) -> bool:
    if not order.store:
        return False
    store = plugins.load("stores", "local").LocalStore(Path(order.store))
    try:
        return bool(store.get(StoredOutput(path=order.path, digest=order.digest), target))
    except StorageError:
        return False


def _in_run(order: Order, path: Path) -> Any:
    """Log the model into the open run; gives MLflow's ModelInfo."""
    given: Mapping[str, str] = {}
    if path.is_dir():
        return _of_folder(path, order)
    if path.suffix == ".onnx":
        flavour, key, model = "onnx", "onnx_model", _needed("onnx").load(str(path))
    elif path.suffix in PICKLES:
        model = unpickled(path)
        flavour, key, given = _flavour(model)
    else:
        raise NoModelError(
            f"{path.name} is none of {', '.join((*PICKLES, '.onnx'))}, nor a folder of MLflow's"
        )
    from mlflow.exceptions import MlflowException  # noqa: PLC0415 - as above

    module = import_module(f"mlflow.{flavour}")
    settings: dict[str, Any] = {key: model, **given, "name": order.output}
    settings |= {"params": dict(order.parameters), "pip_requirements": requirements(model)}
    try:
        return module.log_model(**settings, signature=signature(model, order.inputs))
    except (MlflowException, OSError):
        raise
    except Exception as error:  # whatever the model's library raises: another try would end as this one
        raise NoModelError(f"MLflow cannot save it: {type(error).__name__}: {error}") from error


def _digest(path: Path) -> str:
    """Digest as records hold it; empty where nothing is there."""
    if path.is_dir():
        return digest_text(tree_listing(path, digest_file))
    return digest_file(path) if path.is_file() else ""


def _of_folder(path: Path, order: Order) -> Any:
    """Log a folder that `mlflow.FLAVOUR.save_model` wrote, as it is."""
    from mlflow.models import Model  # noqa: PLC0415 - as above

    if not (path / "MLmodel").is_file():
        raise NoModelError(f"the folder {path.name} holds no MLmodel: write it with mlflow's save_model")

    class Saved:
        """Fills MLflow's protocol of a flavour."""

        @staticmethod
        def save_model(path: str, mlflow_model: Model, source: str) -> None:
            import shutil  # noqa: PLC0415 - few models are folders

            shutil.copytree(source, path, dirs_exist_ok=True)
            known = Model.load(source)
            for name in ("flavors", "signature", "saved_input_example_info", "model_size_bytes"):
                setattr(mlflow_model, name, getattr(known, name, None))
            mlflow_model.save(os.path.join(path, "MLmodel"))  # noqa: PTH118 - MLflow's own text

    return Model.log(None, Saved, name=order.output, params=dict(order.parameters), source=str(path))


def unpickled(path: Path) -> Any:
    """Load a pickled model. Raises NoModelError with what went wrong."""
    try:
        return _needed("joblib" if path.suffix == ".joblib" else "cloudpickle").load(path.open("rb"))
    except NoModelError:
        raise
    except Exception as error:
        said = f"{type(error).__name__}: {error}".splitlines()[0]
        raise NoModelError(f"{path.name} cannot be loaded where nbpipeline runs: {said}") from error


def _needed(module: str) -> Any:
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        raise NoModelError(f"{error.name} is not installed where nbpipeline runs") from error


def _flavour(model: Any) -> tuple[str, str, Mapping[str, str]]:
    for base in type(model).__mro__:
        top = base.__module__.partition(".")[0]
        if top in FLAVOURS:
            return FLAVOURS[top]
    known = ", ".join(FLAVOURS)
    raise NoModelError(f"{type(model).__module__}.{type(model).__qualname__} is of none of {known}")


def requirements(model: Any) -> list[str]:
    """Pin what the model is made with; MLflow would find it out by loading it again, in ten seconds."""
    tops = [*(base.__module__.partition(".")[0] for base in type(model).__mro__), "numpy", "pandas", "joblib"]
    return list(dict.fromkeys(_pinned(tops)))


def _pinned(tops: Sequence[str]) -> Iterator[str]:
    for top in tops:
        name = DISTRIBUTIONS.get(top, top)
        try:
            yield f"{name}=={version(name)}"
        except PackageNotFoundError:
            continue


def signature(model: Any, inputs: Sequence[str]) -> Any:
    """Infer what the model takes and gives from the first table with its features, if any has them."""
    from mlflow.models import infer_signature  # noqa: PLC0415 - as above

    features = getattr(model, "feature_names_in_", None)
    if features is None:
        return None
    for path in inputs:
        try:
            rows = first_rows(Path(path), [str(one) for one in features])
            if rows is not None:
                return infer_signature(rows, model.predict(rows))
        except Exception:  # noqa: BLE001, S112 - a table that cannot be read, or not predicted of: no example
            continue
    return None


def first_rows(path: Path, columns: list[str]) -> pd.DataFrame | None:
    """Read some rows of a Parquet or CSV file, if it has all the columns."""
    if path.suffix == ".parquet":
        import pyarrow.parquet as pq  # noqa: PLC0415 - a library of the user's choice

        with pq.ParquetFile(path) as file:
            if not set(columns) <= set(file.schema_arrow.names):
                return None
            rows: pd.DataFrame = next(file.iter_batches(EXAMPLE_ROWS, columns=columns)).to_pandas()
            return rows[columns]
    if path.suffix == ".csv":
        import pandas as pd  # noqa: PLC0415 - as above

        table = pd.read_csv(path, nrows=EXAMPLE_ROWS)
        return table[columns] if set(columns) <= set(table.columns) else None
    return None


def _load_libraries(uri: str, notebook: str) -> None:
    """Load what takes seconds while the stage is still running."""
    connected(uri)
    code = Path(notebook).read_text(encoding="utf-8")
    for package, (flavour, _, _) in FLAVOURS.items():
        if re.search(rf"\b(import|from) {package}\b", code):
            import_module(f"mlflow.{flavour}")
            import_module(package)


def main() -> int:
    """Do what standard input says; nothing where it ends without a word.

    Arguments: the tracking URI, and the stage's notebook, which tells what its model will be made with.
    """
    os.nice(_NICE)
    with contextlib.suppress(Exception):  # only to have it loaded; what is wrong is said when it is used
        _load_libraries(*sys.argv[1:3])
    text = sys.stdin.read()
    if not text:
        return 0
    data: Any = {key: tuple(one) if isinstance(one, list) else one for key, one in json.loads(text).items()}
    lock = data.pop("lock")
    order = Order(**data)
    sys.path[:0] = order.import_roots
    os.chdir(order.folder)
    with FileLock(lock):  # a sender that was killed may have left one that still logs
        log_model(order)
    return 0


if __name__ == "__main__":
    sys.exit(main())
