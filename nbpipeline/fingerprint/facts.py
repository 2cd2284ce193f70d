"""What fingerprints need to know of a piece of source, worked out once for each content and remembered."""

import ast
import json
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from pathlib import Path

from nbpipeline.content import digest_bytes, digest_text
from nbpipeline.fingerprint.import_paths import added_paths
from nbpipeline.fingerprint.programs import programs
from nbpipeline.ports import Cache
from nbpipeline.reading.syntax import (
    ImportedModule,
    canonical,
    imported_modules,
    magics,
    normalised,
    parse_cell,
)
from nbpipeline.values import dataclass

SCHEME = 1
"""Version of how code is digested; part of every state."""

_NOTED = 2
"""Version of what is remembered of a source beside its digest."""

ANYTHING = "*"
"""Stands among bound names for those that nobody can tell without running the code."""

_EMPTY = frozenset({"[]", "text:"})
_NAME_DIGITS = 8


@dataclass(frozen=True, slots=True)
class Facts:
    """A cell or module as far as it counts."""

    digest: str = ""
    """Of its normalised syntax; empty where nothing is left of it."""
    imports: tuple[ImportedModule, ...] = ()
    runs: tuple[str, ...] = ()
    """Files that it runs as programs, by `%run` or on command lines."""
    paths: tuple[str, ...] = ()
    """Folders that it adds to `sys.path`, from the kernel's folder or absolute."""
    names: str = ""
    """Of a module: `build:1a2b3c4d clean:...`, its top-level names with short digests."""

    def encoded(self) -> str:
        """One line for the cache: the digest, and JSON only where there is more to say."""
        if not (self.imports or self.runs or self.paths or self.names):
            return self.digest
        imports = [[one.module, one.level, list(one.names)] for one in self.imports]
        return f"{self.digest} {json.dumps([imports, self.runs, self.paths, self.names])}"


@lru_cache(maxsize=4096)  # what many notebooks need is the same
def decoded(text: str) -> Facts:
    """Read `encoded` back; raises ValueError or TypeError for what is none."""
    digest, _, rest = text.partition(" ")
    if not rest:
        return Facts(digest)
    imports, runs, paths, names = json.loads(rest)
    found = tuple(ImportedModule(module=m, level=level, names=tuple(names)) for m, level, names in imports)
    return Facts(digest, found, tuple(runs), tuple(paths), names)


@dataclass(frozen=True, slots=True)
class NotebookFacts:
    """The code cells of a notebook that count: their digests by index, and what they need together."""

    digests: dict[int, str]
    needs: Facts

    def encoded(self) -> str:
        """One line for the cache."""
        return json.dumps([list(self.digests.items()), self.needs.encoded()])

    @classmethod
    def decoded(cls, text: str) -> "NotebookFacts":
        """Read `encoded` back."""
        digests, needs = json.loads(text)
        return cls(dict(digests), decoded(needs))


def _head(key: str, text: str) -> str:
    return digest_text(f"{key} {text}")[:32]


class FactsCache:
    """Facts by content, from the cache where it has them; safe from several threads."""

    def __init__(self, cache: Cache) -> None:
        """Read the cache's entries when the first is asked for."""
        self._cache = cache
        self._texts: dict[str, dict[str, str]] = {}
        self._facts: dict[tuple[str, str], Facts] = {}

    def of_notebook_cells(self, path: str, key: str, make: Callable[[], "NotebookFacts"]) -> "NotebookFacts":
        """Facts of all the cells of a stage's notebook; `key` stands for all that they follow from."""
        kind = f"cells {SCHEME}.{_NOTED}"
        if kind not in self._texts:
            self._texts[kind] = self._cache.load(kind)
        head, _, text = self._texts[kind].get(path, "").partition("\n")
        if text and head == _head(key, text):
            return NotebookFacts.decoded(text)
        found = make()
        text = found.encoded()
        self._texts[kind][path] = f"{_head(key, text)}\n{text}"
        self._cache.save(kind, {path: self._texts[kind][path]})
        return found

    def of_cell(self, source: str, language: str) -> Facts:
        """Facts of a whole cell."""
        return self._of(f"cell {language}", digest_text(source), lambda: cell_facts(source, language))

    def of_rest(self, source: str, names: frozenset[str]) -> Facts:
        """Facts of a Python cell without the statements that assign `names`."""
        key = digest_text("\0".join([source, *sorted(names)]))
        return self._of("rest", key, lambda: rest_facts(source, names))

    def of_module(self, path: str, digest: str) -> Facts:
        """Facts of a module's file, whose content has the digest."""
        return self._of("module", digest, lambda: module_facts(Path(path).read_bytes(), digest))

    def of_notebook(self, path: str, digest: str) -> Facts:
        """Facts of a notebook that another runs by `%run`, whose content has the digest."""
        return self._of("notebook", digest, lambda: notebook_facts(Path(path).read_bytes(), digest))

    def bound_by(self, source: str) -> frozenset[str]:
        """Names that a Python cell may assign, import, define or delete; `*` among them: any name."""
        facts = self._of(
            "bound", digest_text(source), lambda: Facts(names=" ".join(sorted(bound_names(source))))
        )
        return frozenset(facts.names.split())

    def _of(self, kind: str, key: str, make: Callable[[], Facts]) -> Facts:
        found = self._facts.get((kind, key))
        if found is None:
            found = self._facts[(kind, key)] = self._remembered(f"{kind} {SCHEME}.{_NOTED}", key, make)
        return found

    def _remembered(self, kind: str, key: str, make: Callable[[], Facts]) -> Facts:
        if kind not in self._texts:
            self._texts[kind] = self._cache.load(kind)
        text = self._texts[kind].get(key)
        if text is not None:
            try:
                return decoded(text)
            except (ValueError, TypeError):  # a damaged entry costs working it out again
                pass
        facts = make()
        self._texts[kind][key] = facts.encoded()
        self._cache.save(kind, {key: facts.encoded()})
        return facts


def code_digest(text: str) -> str:
    """Digest of normalised code; 32 digits are enough for what one project holds."""
    return "" if text in _EMPTY else digest_text(text)[:32]


def cell_facts(source: str, language: str) -> Facts:
    """Work out the facts of a cell; one that cannot be parsed counts as text."""
    tree = None
    if language == "python":
        try:
            tree = parse_cell(source)
        except SyntaxError:
            tree = None
    if tree is None:
        return Facts(code_digest(normalised(source, language)))
    return _tree_facts(tree.body)


def rest_facts(source: str, names: frozenset[str]) -> Facts:
    """Work out the facts of what a declaring cell does beside declaring `names`."""
    try:
        tree = parse_cell(source)
    except SyntaxError:
        return Facts(code_digest(normalised(source)))
    again = frozenset(_assigned_again(tree.body))
    return _tree_facts([one for one in tree.body if not _declares(one, names - again)])


def module_facts(data: bytes, digest: str) -> Facts:
    """Work out the facts of a module; one that cannot be parsed counts by its bytes."""
    try:
        tree = ast.parse(data)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return Facts(digest[:32])
    facts = _tree_facts(tree.body)
    return Facts(facts.digest, facts.imports, facts.runs, facts.paths, _name_digests(tree.body))


def _tree_facts(body: Sequence[ast.stmt]) -> Facts:
    tree = ast.Module(body=list(body), type_ignores=[])
    return Facts(
        code_digest(canonical(tree.body)),
        imported_modules(tree),
        programs(tree),
        added_paths(tree),
    )


def _declares(statement: ast.stmt, names: frozenset[str]) -> bool:
    if isinstance(statement, ast.Assign):
        targets = statement.targets
    elif isinstance(statement, ast.AnnAssign):
        targets = [statement.target]
    else:
        # A docstring-like text is prose; everything else is code.
        return isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)
    return all(isinstance(one, ast.Name) and one.id in names for one in targets)


def _assigned_again(body: Sequence[ast.stmt]) -> Iterator[str]:
    """Give the names that a cell assigns twice: what stands between may use either value."""
    seen: set[str] = set()
    for name in (name for one in body for name in _defined_names(one)):
        if name in seen:
            yield name
        seen.add(name)


def notebook_facts(data: bytes, digest: str) -> Facts:
    """Work out the facts of a notebook's code; one that cannot be read counts by its bytes."""
    try:
        cells = [cell for cell in json.loads(data)["cells"] if cell["cell_type"] == "code"]
        parts = [cell_facts("".join(cell["source"]), "python") for cell in cells]
    except (ValueError, KeyError, TypeError):
        return Facts(digest[:32])
    return Facts(
        code_digest(" ".join(one.digest for one in parts)),
        tuple(one for part in parts for one in part.imports),
        tuple(one for part in parts for one in part.runs),
        tuple(one for part in parts for one in part.paths),
    )


def bound_names(source: str) -> frozenset[str]:
    """Find the names that a cell may bind, wherever they stand in it."""
    try:
        tree = parse_cell(source)
    except SyntaxError:
        return frozenset({ANYTHING})
    found = {name for node in ast.walk(tree) for name in _bound_by(node)}
    return frozenset(found | ({ANYTHING} if any(one.name == "run" for one in magics(tree)) else set()))


def _bound_by(node: ast.AST) -> Iterator[str]:
    match node:
        case ast.Name(id=name, ctx=ast.Store() | ast.Del()):
            yield name
        case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
            yield name
        case ast.alias(name=name, asname=other):
            yield other or name.partition(".")[0]
        case ast.ExceptHandler(name=str(name)) | ast.MatchAs(name=str(name)) | ast.MatchStar(name=str(name)):
            yield name
        case ast.MatchMapping(rest=str(name)):
            yield name
        case ast.Call(func=ast.Name(id="exec" | "globals" | "locals" | "vars")):
            yield ANYTHING
        case _:
            return


def _name_digests(body: Sequence[ast.stmt]) -> str:
    """Digest each top-level name of a module, so that a difference can be told by name."""
    parts: dict[str, list[ast.stmt]] = {}
    for statement in body:
        for name in _defined_names(statement) or ["-"]:
            parts.setdefault(name, []).append(statement)
    return " ".join(
        f"{name}:{digest_bytes(canonical(found).encode('utf-8', 'surrogatepass'))[:_NAME_DIGITS]}"
        for name, found in parts.items()
    )


def _defined_names(statement: ast.stmt) -> list[str]:
    if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return [statement.name]
    targets = statement.targets if isinstance(statement, ast.Assign) else [getattr(statement, "target", None)]
    return [one.id for one in targets if isinstance(one, ast.Name)]
