"""What fingerprints need to know of a piece of source, worked out once for each content and remembered."""

import ast
import json
import shlex
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from nbpipeline.content import digest_bytes, digest_text
from nbpipeline.ports import Cache
from nbpipeline.reading.syntax import (
    ImportedModule,
    canonical,
    imported_modules,
    magics,
    normalised,
    parse_cell,
)

SCHEME = 1
"""Version of how code is digested; part of every state."""

_EMPTY = frozenset({"[]", "text:"})
_NAME_DIGITS = 8


@dataclass(frozen=True, slots=True)
class Facts:
    """A cell or module as far as it counts."""

    digest: str = ""
    """Of its normalised syntax; empty where nothing is left of it."""
    imports: tuple[ImportedModule, ...] = ()
    runs: tuple[str, ...] = ()
    """Files that `%run` names."""
    paths: tuple[str, ...] = ()
    """Folders that it adds to `sys.path` literally."""
    names: str = ""
    """Of a module: `build:1a2b3c4d clean:...`, its top-level names with short digests."""

    def encoded(self) -> str:
        """One line for the cache: the digest, and JSON only where there is more to say."""
        if not (self.imports or self.runs or self.paths or self.names):
            return self.digest
        imports = [[one.module, one.level, list(one.names)] for one in self.imports]
        return f"{self.digest} {json.dumps([imports, self.runs, self.paths, self.names])}"


def decoded(text: str) -> Facts:
    """Read `encoded` back; raises ValueError or TypeError for what is none."""
    digest, _, rest = text.partition(" ")
    if not rest:
        return Facts(digest)
    imports, runs, paths, names = json.loads(rest)
    found = tuple(ImportedModule(module=m, level=level, names=tuple(names)) for m, level, names in imports)
    return Facts(digest, found, tuple(runs), tuple(paths), names)


class FactsCache:
    """Facts by content, from the cache where it has them; safe from several threads."""

    def __init__(self, cache: Cache) -> None:
        """Read the cache's entries when the first is asked for."""
        self._cache = cache
        self._texts: dict[str, dict[str, str]] = {}
        self._facts: dict[tuple[str, str], Facts] = {}

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

    def _of(self, kind: str, key: str, make: Callable[[], Facts]) -> Facts:
        found = self._facts.get((kind, key))
        if found is None:
            found = self._facts[(kind, key)] = self._remembered(f"{kind} {SCHEME}", key, make)
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
    return _tree_facts([one for one in tree.body if not _declares(one, names)])


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
        tuple(run for run in (_run_file(one.text) for one in magics(tree) if one.name == "run") if run),
        tuple(_added_paths(tree)),
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


def _run_file(text: str) -> str:
    """Find the file in what follows `%run`."""
    try:
        words = shlex.split(text)
    except ValueError:
        return ""
    name = next((word for word in words if not word.startswith("-")), "")
    return name if not name or "." in name.rpartition("/")[2] else f"{name}.py"


def _added_paths(tree: ast.Module) -> Iterable[str]:
    """Find what `sys.path.append("../src")` and `sys.path.insert(0, str(Path("../src")))` add."""
    for node in ast.walk(tree):
        match node:
            case (
                ast.Call(
                    func=ast.Attribute(
                        value=ast.Attribute(value=ast.Name(id="sys"), attr="path"), attr="append"
                    ),
                    args=[given],
                )
                | ast.Call(
                    func=ast.Attribute(
                        value=ast.Attribute(value=ast.Name(id="sys"), attr="path"), attr="insert"
                    ),
                    args=[_, given],
                )
            ):
                text = _literal_text(given)
                if text is not None:
                    yield text
            case _:
                continue


def _literal_text(node: ast.expr) -> str | None:
    while isinstance(node, ast.Call) and len(node.args) == 1:
        node = node.args[0]
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else None


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
