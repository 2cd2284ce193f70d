"""What is shown of a traceback: the user's own lines first, a library's cut to where it ended."""

from nbpipeline.cli.excerpt import traceback_lines

IN_A_LIBRARY = """\
---------------------------------------------------------------------------
ValueError                                Traceback (most recent call last)
Cell In[4], line 7
      5 model = Ridge()
      6
----> 7 model.fit(X, y)

File ~/venv/lib/python3.11/site-packages/sklearn/base.py:1336, in _fit_context(estimator)
   1335 with config_context():
-> 1336     return fit_method(estimator)

File ~/my project/notebooks/lib.py:12, in check
     11 def check(X):
---> 12     return check_array(X)

File ~/venv/lib/python3.11/site-packages/sklearn/utils/validation.py:1118, in check_array
   1115 if ensure_min_samples > 0:
   1116     n_samples = _num_samples(array)
   1117     if n_samples < ensure_min_samples:
-> 1118         raise ValueError(
   1119             "Found array with no samples"
   1120         )

ValueError: Found array with no samples
"""

MISSING_COLUMN = """\
---------------------------------------------------------------------------
KeyError                                  Traceback (most recent call last)
File ~/venv/lib/python3.11/site-packages/pandas/core/indexes/base.py:3816, in Index.get_loc(self, key)
   3815 try:
-> 3816     return self._engine.get_loc(casted_key)
   3817 except KeyError as err:

File pandas/_libs/index.pyx:172, in pandas._libs.index.IndexEngine.get_loc()
--> 172 'Could not get source, probably due dynamically evaluated source code.'

KeyError: 'b'

The above exception was the direct cause of the following exception:

KeyError                                  Traceback (most recent call last)
Cell In[3], line 3
      1 df = pd.DataFrame({"a": [1, 2]})
      2 
----> 3 total = df["b"].sum()
      4 print(total)

File ~/venv/lib/python3.11/site-packages/pandas/core/frame.py:15427, in DataFrame.__getitem__(self, key)
  15426         if is_single_key:
> 15427             indexer = self.columns.get_loc(key)

File ~/.pyenv/versions/3.11.7/lib/python3.11/functools.py:912, in wrapper(*args, **kw)
--> 912     return dispatch(args[0].__class__)(*args, **kw)

File ~/venv/lib/python3.11/site-packages/pandas/core/indexes/base.py:3823, in Index.get_loc(self, key)
   3822         raise InvalidIndexError(key) from err
-> 3823     raise KeyError(key) from err
   3824 except TypeError:

KeyError: 'b'
"""  # noqa: W291 - as IPython writes it

IN_A_MODULE = """\
ValueError                                Traceback (most recent call last)
Cell In[3], line 2
      1 df = pd.DataFrame({"a": [1, 2]})
----> 2 df.apply(helper.share, axis=1)

File ~/venv/lib/python3.11/site-packages/pandas/core/apply.py:1106, in FrameApply.apply(self)
-> 1106 return self.apply_standard()

File ~/venv/lib/python3.11/site-packages/pandas/core/apply.py:1334, in FrameApply.apply_standard(self)
-> 1334         results, res_index = self.apply_series_generator()

File ~/project/notebooks/helper.py:7, in inner(row)
      6 def inner(row):
----> 7     return row["a"] / 0 + int("x")

ValueError: invalid literal for int() with base 10: 'x'
"""


def test_a_failure_inside_a_library_shows_the_users_own_lines_first() -> None:
    assert traceback_lines(IN_A_LIBRARY) == [
        "----> 7 model.fit(X, y)",
        "File ~/my project/notebooks/lib.py:12, in check: ---> 12     return check_array(X)",
        "1 frame of sklearn left out",
        "File ~/venv/lib/python3.11/site-packages/sklearn/utils/validation.py:1118, in check_array",
        "-> 1118         raise ValueError(",
        "ValueError: Found array with no samples",
    ]


def test_of_exceptions_that_led_to_each_other_the_last_is_shown() -> None:
    assert traceback_lines(MISSING_COLUMN) == [
        '----> 3 total = df["b"].sum()',
        "2 frames of pandas and Python left out",
        "File ~/venv/lib/python3.11/site-packages/pandas/core/indexes/base.py:3823, in Index.get_loc(self, key)",
        "-> 3823     raise KeyError(key) from err",
        "KeyError: 'b'",
    ]


def test_the_cause_is_shown_where_the_users_code_is_in_it_alone() -> None:
    cause, effect = MISSING_COLUMN.split("\nThe above exception was the direct cause of")
    turned = (
        f"{effect.partition('exception:')[2]}\nDuring handling of the above exception, another:\n\n{cause}"
    )
    assert traceback_lines(turned) == [
        '----> 3 total = df["b"].sum()',
        "4 frames of pandas and Python left out",
        "File pandas/_libs/index.pyx:172, in pandas._libs.index.IndexEngine.get_loc()",
        "--> 172 'Could not get source, probably due dynamically evaluated source code.'",
        "KeyError: 'b'",
    ]


def test_a_failure_in_a_module_of_the_project_shows_it_whole() -> None:
    assert traceback_lines(IN_A_MODULE) == [
        "----> 2 df.apply(helper.share, axis=1)",
        "2 frames of pandas left out",
        "File ~/project/notebooks/helper.py:7, in inner(row)",
        "      6 def inner(row):",
        '----> 7     return row["a"] / 0 + int("x")',
        "ValueError: invalid literal for int() with base 10: 'x'",
    ]


def test_a_failure_in_a_cell_shows_its_line_once() -> None:
    short = "Cell In[1], line 1\n----> 1 1/0\n\nZeroDivisionError: division by zero\n"
    assert traceback_lines(short) == [
        "Cell In[1], line 1",
        "----> 1 1/0",
        "ZeroDivisionError: division by zero",
    ]


def test_many_frames_and_a_long_message_lose_their_middle() -> None:
    frames = [f"Cell In[1], line {n}, in f{n}()\n----> {n} f{n + 1}()\n" for n in range(1, 8)]
    message = "\n".join(f"line {n}" for n in range(1, 10))
    assert traceback_lines("\n".join([*frames, message])) == [
        "----> 1 f2()",
        "----> 2 f3()",
        "... 2 frames ...",
        "----> 5 f6()",
        "----> 6 f7()",
        "Cell In[1], line 7, in f7()",
        "----> 7 f8()",
        "line 1",
        "line 2",
        "line 3",
        "... 3 lines ...",
        "line 7",
        "line 8",
        "line 9",
    ]


def test_what_is_no_traceback_of_ipython_shows_its_end() -> None:
    assert traceback_lines("") == []
    text = "\n\n".join(f"In f({n}) : no such thing" for n in range(9))
    assert traceback_lines(text) == [f"In f({n}) : no such thing" for n in range(3, 9)]


def test_frames_without_a_source() -> None:
    text = "Cell In[2], line 1\n----> 1 g()\n\nFile <string>:3, in g()\n\nFile <frozen os>:2, in h()\n\nKeyError: 1\n"
    assert traceback_lines(text) == [
        "----> 1 g()",
        "1 frame of Python left out",
        "File <frozen os>:2, in h()",
        "KeyError: 1",
    ]
