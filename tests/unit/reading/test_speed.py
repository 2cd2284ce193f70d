"""A first read of 1,000 notebooks of 10 cells: under 10 s, whatever the machine is busy with."""

import time

from builders import code, header, write_notebook

from nbpipeline.reading.project import read_project


def test_a_thousand_notebooks(root):
    work = [
        code("%matplotlib inline\n" + "\n".join(f"df['c{n}'] = df['a'] * {n}" for n in range(12)))
        for _ in range(7)
    ]
    for number in range(1000):
        write_notebook(
            root / f"notebooks/n{number}.ipynb",
            header(f"inputs: {{a: ../data/{number}.csv}}\noutputs: {{b: ../data/{number + 1}.csv}}"),
            code("C: float = 1.0  # inverse regularisation", "parameters"),
            code("from pathlib import Path\nx = Path('../data') / 'x.csv'", "inputs"),
            *work,
        )
    started = time.perf_counter()
    spec, complaints = read_project(root)
    assert time.perf_counter() - started < 10
    assert (len(spec.stages), complaints) == (1000, ())
