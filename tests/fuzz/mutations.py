"""New inputs out of old ones: seeded, no coverage needed; atheris uses the same beside its own."""

import random
from collections.abc import Sequence

LONGEST = 32_768
"""Bytes of an input."""

TOKENS = (
    *(
        "---\n",
        "...\n",
        "nbpipeline:\n",
        "nbpipeline: ",
        "stage: ",
        "inputs: ",
        "outputs: ",
        "params: ",
        "matrix: ",
    ),
    *(
        "expect: ",
        "from: ",
        "path: ",
        "from_file: ",
        "after: ",
        "dependencies: ",
        "env: ",
        "secrets: ",
        "resources: ",
    ),
    *(
        "retries: ",
        "timeout: ",
        "cell_timeout: ",
        "fresh_for: ",
        "executed: ",
        "test: ",
        "tags: ",
        "kind: directory",
    ),
    *(
        "mode: update",
        "publish: atomic",
        "allow_outside: true",
        "store: false",
        "cwd: project",
        "notebooks: ",
        "exclude: ",
    ),
    *(
        "stages: ",
        "profiles: ",
        "defaults: ",
        "environment: ",
        "tracking: ",
        "schedule: ",
        "default: ",
        "type: ",
        "min: ",
    ),
    *(
        "parameters",
        "inputs",
        "outputs",
        "dependencies",
        "expectations",
        "metrics",
        "test",
        "skip",
        "parameter",
        "ouputs",
    ),
    *(
        "&a ",
        "*a",
        "&b [*a,*a,*a,*a,*a,*a,*a,*a]",
        "<<: *a",
        "<<: [*a, *a]",
        "!!python/object/apply:os.system ",
        "!!int ",
        "!!float ",
    ),
    *(
        "!!binary ",
        "!<tag:x> ",
        "%YAML 1.1\n",
        "%TAG ! tag:x,2000:\n",
        "? ",
        ": ",
        "- ",
        "| \n",
        "> \n",
        "# ",
        '"',
        "'",
    ),
    *(
        "{",
        "}",
        "[",
        "]",
        "(",
        ")",
        "{{",
        "}}",
        "{a}",
        "{region}",
        "{profile}",
        "{a:1000000000}",
        "{a:>999999999}",
        "{a!r:^30}",
    ),
    *(
        'f"{x:1000000000}"',
        'f"{x:{y}}"',
        'f"{x!r}"',
        "f'{f\"{x}\"}'",
        "Path('..') / ",
        "os.path.join(",
        "+ x ",
        "x = ",
        "x: int = ",
    ),
    *(
        "import fuzzed_module\n",
        "from fuzzed_module import *\n",
        "__import__('fuzzed_module')",
        "exec('1')",
        "eval('1')",
    ),
    *(
        "open('x', 'w')",
        "%%time\n",
        "%timeit ",
        "%run fuzzed_module.py\n",
        "%load_ext fuzzed_module\n",
        "%%bash\n",
        "!ls\n",
        "x = !ls\n",
    ),
    *(
        "%%writefile x\n",
        "?x\n",
        "x??\n",
        "%%capture out\n",
        "lambda: ",
        "await x\n",
        "def f():\n    ",
        "class A:\n    ",
        "*a, b = c\n",
    ),
    *(
        "../",
        "../../",
        "/etc/passwd",
        "/dev/zero",
        "/",
        "~",
        "./.nbpipeline/",
        "\\",
        "s3://b/k",
        "file:///etc/passwd",
        "link/x",
        "away/x",
        "**/",
        "*",
    ),
    *(
        "# %%",
        '# %% tags=["parameters"]\n',
        "```python\n",
        "```\n",
        "~~~\n",
        ":tags: [parameters]\n",
        "{code-cell}\n",
        "+++\n",
    ),
    *(
        "0x",
        "0o7",
        "1e999",
        "-.inf",
        ".nan",
        "1_000",
        "999999999999999999999999",
        "2GB",
        "1h",
        "30s",
        "-1",
        "12:30",
        "2013-01-01",
        "no",
    ),
    *(
        "null",
        "true",
        "\ufeff",
        "\r\n",
        "\r",
        "\x00",
        "\x1b[31m",
        "\x07",
        "\u2028",
        "\u202e",
        "\xa0",
        "\x85",
        "\ud7ff",
        "e\u0301",
        "\U0001f600",
    ),
    *(
        "\\u001b",
        "\\ud800",
        "\\u0000",
        '{"a": ',
        '"tags": ["parameters"]',
        '"cell_type": "code"',
        '"source": ',
        '"nbformat": 4',
        "1" * 400,
    ),
    *(" ", "  ", "\n", "\t", "\n\n", ",", "?", "=", "!", "%", "-", "--a", ".", "tags "),
)
"""What YAML, tags, cells, paths and notebooks are made of, and what has been trouble elsewhere."""

_PAIRS = (
    ("[", "]"),
    ("{", "}"),
    ("(", ")"),
    ("{a: ", "}"),
    ("-", ""),
    ("not ", ""),
    ("f'{", "}'"),
    ("lambda: ", ""),
    ("~", ""),
)


def mutated(data: bytes, seeds: Sequence[bytes], chance: random.Random, longest: int = LONGEST) -> bytes:
    """Change an input in one to a few places."""
    for _ in range(chance.choice((1, 1, 1, 2, 2, 3, 5, 8))):
        data = chance.choice(_WAYS)(data, seeds, chance)[:longest]
    return data


def _span(data: bytes, chance: random.Random) -> tuple[int, int]:
    """Choose a part, mostly a short one; lines as often as not."""
    if data and chance.random() < 0.4:
        starts = [0, *(place + 1 for place, one in enumerate(data[:20_000]) if one == 10)]
        first = chance.choice(starts)
        end = data.find(b"\n", first)
        return first, len(data) if end < 0 else end + 1
    first = chance.randint(0, len(data))
    return first, min(len(data), first + int(chance.paretovariate(0.8)))


def _token(chance: random.Random) -> bytes:
    return chance.choice(TOKENS).encode("utf-8", "surrogatepass")


def _insert(data: bytes, _: Sequence[bytes], chance: random.Random) -> bytes:
    place = chance.randint(0, len(data))
    return data[:place] + _token(chance) + data[place:]


def _replace(data: bytes, _: Sequence[bytes], chance: random.Random) -> bytes:
    first, end = _span(data, chance)
    return data[:first] + _token(chance) + data[end:]


def _delete(data: bytes, _: Sequence[bytes], chance: random.Random) -> bytes:
    first, end = _span(data, chance)
    return data[:first] + data[end:]


def _double(data: bytes, _: Sequence[bytes], chance: random.Random) -> bytes:
    first, end = _span(data, chance)
    place = chance.randint(0, len(data))
    return data[:place] + data[first:end] + data[place:]


def _repeat(data: bytes, _: Sequence[bytes], chance: random.Random) -> bytes:
    """Put a long run of one token somewhere."""
    token = _token(chance)
    times = min(int(chance.paretovariate(0.5)), LONGEST // len(token))
    place = chance.randint(0, len(data))
    return data[:place] + token * times + data[place:]


def _nest(data: bytes, _: Sequence[bytes], chance: random.Random) -> bytes:
    """Wrap a part many times over."""
    left, right = (one.encode() for one in chance.choice(_PAIRS))
    first, end = _span(data, chance)
    times = min(int(chance.paretovariate(0.5)), LONGEST // (len(left) + len(right)))
    return data[:first] + left * times + data[first:end] + right * times + data[end:]


def _splice(data: bytes, seeds: Sequence[bytes], chance: random.Random) -> bytes:
    other = chance.choice(seeds)
    first, end = _span(other, chance)
    place = chance.randint(0, len(data))
    return data[:place] + other[first:end] + data[place:]


def _cross(data: bytes, seeds: Sequence[bytes], chance: random.Random) -> bytes:
    other = chance.choice(seeds)
    return data[: chance.randint(0, len(data))] + other[chance.randint(0, len(other)) :]


def _flip(data: bytes, _: Sequence[bytes], chance: random.Random) -> bytes:
    if not data:
        return b"\x00"
    found = bytearray(data)
    found[chance.randrange(len(found))] ^= 1 << chance.randrange(8)
    return bytes(found)


def _number(data: bytes, _: Sequence[bytes], chance: random.Random) -> bytes:
    places = [place for place, one in enumerate(data[:20_000]) if 48 <= one <= 57]
    if not places:
        return data
    place = chance.choice(places)
    great = (
        b"9" * 30,
        b"9" * 5000,
        b"-1",
        b"1e400",
        b"0",
        b"4294967296",
        b"1.5",
        b"0x" + b"f" * 5000,
        b"1" + b"0" * 300,
    )
    return data[:place] + chance.choice(great) + data[place + 1 :]


_WAYS = (
    _insert,
    _insert,
    _replace,
    _replace,
    _delete,
    _double,
    _splice,
    _splice,
    _cross,
    _flip,
    _number,
    _repeat,
    _nest,
)


def minimised(data: bytes, still: "callable", most: int = 400) -> bytes:  # type: ignore[valid-type]
    """Cut parts off as long as `still` holds of the rest; at most `most` tries."""
    tries, size = 0, max(1, len(data) // 2)
    while size and tries < most:
        place = 0
        while place < len(data) and tries < most:
            shorter = data[:place] + data[place + size :]
            tries += 1
            if still(shorter):
                data = shorter
            else:
                place += size
        size //= 2
    return data
