"""Awkward notebooks: each asks for something that a forked kernel could get wrong.

A case is a stage. Its cells stand one after another, a line `#--` between them; what they show and write is
compared between kinds of kernel, so they show what must be equal and keep what must differ (a random
number) in `../free/`, which another test looks at.
"""

from dataclasses import dataclass

BREAK = "\n#--\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A stage and its header."""

    name: str
    text: str
    header: str = ""

    @property
    def cells(self) -> tuple[str, ...]:
        """Sources of its cells."""
        return tuple(self.text.strip("\n").split(BREAK))


PROCESS = """
import os, sys
print(os.getcwd())
#--
print(sys.argv)
#--
print(sys.path)
#--
print(sys.flags, sys.executable, sys.prefix, sys.warnoptions, sys._xoptions, sys.dont_write_bytecode)
#--
print(__name__, '__file__' in globals(), '__file__' in vars(sys.modules['__main__']))
#--
print(oct(os.umask(0o22)))
#--
import resource
limits = [name for name in dir(resource) if name.startswith('RLIMIT_')]
print({name: resource.getrlimit(getattr(resource, name)) for name in limits})
#--
print(os.getpriority(os.PRIO_PROCESS, 0), sorted(os.sched_getaffinity(0)))
#--
import locale
print(locale.setlocale(locale.LC_ALL), locale.getencoding(), sys.getfilesystemencoding(), sys.stdout.encoding)
#--
print('own session', os.getsid(0) == os.getpid(), 'own group', os.getpgrp() == os.getpid())
#--
print(sys.stdin, os.isatty(0), os.read(0, 1))
#--
def kind(number):
    try:
        where = os.readlink(f'/proc/self/fd/{number}')
    except OSError:
        return 'gone'
    return where.split(':')[0] if ':' in where else where
kinds = [kind(number) for number in os.listdir('/proc/self/fd') if number != '0']
print(sorted(set(kinds)), sorted(one for one in kinds if one not in ('anon_inode', 'socket')))  # ZeroMQ makes these as it needs them
#--
import threading
import re
print(sorted(re.sub('[0-9]+', 'N', one.name) for one in threading.enumerate()))
print(threading.current_thread() is threading.main_thread(), threading.get_native_id() == os.getpid())
#--
print(sys.getrecursionlimit(), sys.getswitchinterval(), sys.getdlopenflags(), sys.get_int_max_str_digits())
#--
import gc
print(gc.isenabled(), gc.get_threshold(), gc.get_debug(), gc.callbacks)
#--
import faulthandler
print(faulthandler.is_enabled())
#--
print(sys.gettrace(), sys.getprofile(), sys.excepthook.__qualname__, type(sys.displayhook).__qualname__)
#--
print({name: value for name, value in sorted(os.environ.items()) if name not in ('JPY_PARENT_PID', 'NBPIPELINE_TOKEN')})
#--
import ctypes
getenv = ctypes.CDLL(None).getenv
getenv.restype = ctypes.c_char_p
print([getenv(name) for name in (b'NBPIPELINE_STAGE', b'OMP_NUM_THREADS', b'GONE_SINCE')])
#--
try:
    print(os.waitpid(-1, os.WNOHANG))
except ChildProcessError as error:
    print('no children:', error)
#--
import time
ticks = os.sysconf('SC_CLK_TCK')
began = int(open('/proc/self/stat').read().rpartition(')')[2].split()[19]) / ticks
print('began just now', time.clock_gettime(time.CLOCK_BOOTTIME) - began < 60, time.process_time() < 20)
#--
import multiprocessing
print(multiprocessing.current_process().name, multiprocessing.parent_process(), multiprocessing.get_start_method())
#--
status = dict(line.split(':', 1) for line in open('/proc/self/status'))
print({name: status[name].strip() for name in ('Uid', 'Gid', 'NoNewPrivs', 'Seccomp', 'SigBlk', 'SigIgn', 'SigCgt')})
#--
print(time.tzname, time.timezone, os.times().children_user, os.times().children_system)
"""

SIGNALS = """
import os, signal
print({one.name: getattr(signal.getsignal(one), '__qualname__', signal.getsignal(one)) for one in signal.valid_signals() if isinstance(one, signal.Signals) and not one.name.startswith('SIGRT')})
#--
print(signal.pthread_sigmask(signal.SIG_BLOCK, []), signal.set_wakeup_fd(-1) != -1, signal.getitimer(signal.ITIMER_REAL))
#--
heard = []
signal.signal(signal.SIGALRM, lambda number, frame: heard.append(number))
signal.setitimer(signal.ITIMER_REAL, 0.02, 0.02)
while not heard: signal.pause()
rest = signal.setitimer(signal.ITIMER_REAL, 0); del heard[1:]
print(heard)
#--
import subprocess, sys
signal.signal(signal.SIGCHLD, lambda number, frame: heard.append(number))
subprocess.run([sys.executable, '-c', ''])
print(heard)
#--
signal.signal(signal.SIGUSR1, lambda number, frame: heard.append(number))
os.kill(os.getpid(), signal.SIGUSR1)
print(heard)
#--
import time
try:
    os.kill(os.getpid(), signal.SIGINT); time.sleep(20)
except KeyboardInterrupt:
    print('KeyboardInterrupt')
#--
done = subprocess.run([sys.executable, '-c', 'import signal; print({one.name for one in signal.valid_signals() if isinstance(one, signal.Signals) and signal.getsignal(one) is signal.SIG_IGN})'], capture_output=True, text=True)
print(sorted(eval(done.stdout)))
"""

INTERRUPTED = """
import os, signal, time
os.kill(os.getpid(), signal.SIGINT); time.sleep(20)
"""

MODULES = """
import json, sys
json.dump(sorted({name.partition('.')[0] for name in sys.modules}), open('../free/modules.json', 'w'))
print([name for name in ('beside', 'extra', 'papermill', 'nbclient', 'nbpipeline') if name in sys.modules])
#--
def dispatch(value):
    'What libraries do that take frames without depending on pandas.'
    pandas = sys.modules.get('pandas')
    return 'frame' if pandas is not None and isinstance(value, pandas.DataFrame) else 'other'
print(dispatch([1, 2]))
#--
import __main__
print(__main__ is sys.modules['__main__'], vars(__main__) is globals(), sorted(vars(__main__)))
#--
import logging
print([(type(one).__qualname__, one.level) for one in logging.getLogger().handlers], logging.getLogger().level)
#--
print(sys.meta_path[-1], [type(one).__qualname__ for one in sys.path_hooks], '' in sys.path_importer_cache)
"""

DISPLAYS = """
from IPython.display import HTML, JSON, Markdown, SVG, clear_output, display
display(HTML('<b>bold</b>'), Markdown('*a*'), JSON({'a': 1}))
#--
handle = display('first', display_id='one')
handle.update('second')
#--
handle.update('third'); print('updated')
#--
print('gone'); clear_output(); print('stays')
#--
print('gone later'); clear_output(wait=True); print('stays too')
#--
class Rich:
    def _repr_html_(self): return '<i>rich</i>'
    def _repr_png_(self): return None
    def __repr__(self): return 'plain'
Rich()
#--
class Bundle:
    def _repr_mimebundle_(self, include=None, exclude=None): return {'text/plain': 'b', 'text/latex': '$b$'}, {'text/plain': {'k': 1}}
display(Bundle())
Bundle()
#--
1; 2
#--
_ , __, Out.keys(), len(In)
#--
display({'b': 1, 'a': [1, 2, 3] * 30})
#--
print('a', end=''); print('b', flush=True); print('c')
#--
for n in range(20_000): print(n)
#--
from tqdm import tqdm
for _ in tqdm(range(3), bar_format='{n_fmt}/{total_fmt}', mininterval=1000): pass
print('done')
#--
SVG('<svg xmlns="http://www.w3.org/2000/svg" width="1" height="1"></svg>')
#--
print('\\N{SNOWMAN} \\x1b[31mred\\x1b[0m \\r\\b\\t|')
"""

BARS = """
from tqdm.auto import tqdm
print(tqdm.__module__)
#--
for _ in tqdm(range(3), bar_format='{n_fmt}/{total_fmt}', mininterval=1000): pass
"""

COMMS = """
import comm
one = comm.create_comm(target_name='jupyter.widget', comm_id='c0', data={'state': {'_model_name': 'IntSliderModel', '_model_module': '@jupyter-widgets/controls', '_model_module_version': '2.0.0', 'value': 3}})
one.send({'method': 'update', 'state': {'value': 4}})
print(type(one).__qualname__, type(comm.get_comm_manager()).__qualname__)
#--
from IPython.display import display
display({'application/vnd.jupyter.widget-view+json': {'version_major': 2, 'version_minor': 0, 'model_id': 'c0'}, 'text/plain': 'slider'}, raw=True)
#--
one.close()
"""

STREAMS = """
import sys
print('out'); print('err', file=sys.stderr); print('out again')
#--
sys.stderr.write('no end of line')
#--
import logging
logging.getLogger('a').warning('last resort'); logging.info('unheard')
print(logging.getLogger().handlers, logging.getLogger().level, logging.root.manager.disable)
#--
logging.basicConfig(level=logging.INFO, format='%(levelname)s:%(message)s', force=True)
logging.getLogger('a').info('heard')
#--
import contextlib, io
kept = io.StringIO()
with contextlib.redirect_stdout(kept): print('caught')
kept.getvalue()
#--
sys.stdout.write('x'), sys.stdout.isatty(), sys.stdout.fileno() > 0, type(sys.stdout).__qualname__
"""

DESCRIPTORS = """
import ctypes, os, subprocess, sys, threading
def follow(stream):
    'What is written past Python comes by a thread of the kernel: wait until that has passed it on.'
    come, told, write = [], threading.Condition(), stream.write
    def hear(text):
        written = write(text)
        with told:
            come.append(text); told.notify()
        return written
    def settle(words):
        with told: assert told.wait_for(lambda: words in ''.join(come), 60), come
    stream.write = hear
    return settle
#--
settle = follow(sys.stdout)  # in each cell anew: IPython puts a stream's `write` back at its end
os.write(1, b'by number 1\\n'); settle('by number 1\\n')
subprocess.run(['echo', 'by a child']); settle('by a child\\n')
os.system('echo by a shell'); settle('by a shell\\n')
ctypes.CDLL(None).puts(b'by the C library'); ctypes.CDLL(None).fflush(None); settle('by the C library\\n')
sys.__stdout__.write('under\\n'); sys.__stdout__.flush(); settle('under\\n')
#--
settle = follow(sys.stderr)
os.write(2, b'by number 2\\n'); settle('by number 2\\n')
subprocess.run('echo by a child >&2', shell=True); settle('by a child\\n')
"""

WARNINGS = """
import warnings
print([one for one in warnings.filters if one[2].__module__ != 'scipy' and (one[3] or one[2] in (DeprecationWarning, ImportWarning, ResourceWarning)) and one[1] is None])
#--
def old():
    warnings.warn('old thing', DeprecationWarning)
for _ in range(3): old()
#--
old()
#--
for _ in range(3): warnings.warn('used', UserWarning)
#--
import beside
beside.warns(); beside.warns()
#--
import numpy
numpy.float64(1) / numpy.float64(0), numpy.array([1.0]) / 0
#--
numpy.array([2.0]) / 0
#--
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter('always')
    beside.warns()
[str(one.message) for one in caught]
#--
'\\d'
#--
import pandas
pandas.Series([1, 2, 3], dtype='int64').fillna(0).astype('float32').sum()
"""

MATPLOTLIB = """
import matplotlib.pyplot as plt
plt.plot([1, 3, 2]); plt.title('without a magic')
#--
import matplotlib
print(matplotlib.get_backend(), matplotlib.is_interactive(), plt.get_fignums())
#--
print({key: value for key, value in matplotlib.rcParams.items() if key != 'backend'})
#--
fig, axes = plt.subplots(2, 2, figsize=(3, 2))
axes[0, 0].imshow([[0, 1], [1, 0]]); axes[1, 1].hist([1, 1, 2])
fig
#--
%matplotlib inline
%config InlineBackend.figure_formats = ['svg']
%config InlineBackend.print_figure_kwargs = {'metadata': {'Date': None}}
matplotlib.rcParams['svg.hashsalt'] = 'fixed'
fig, ax = plt.subplots(figsize=(1, 1)); _ = ax.plot([1, 2])
#--
plt.savefig('../made/figure.png'); plt.close('all')
"""

MATPLOTLIB_FILE = """
import matplotlib.pyplot as plt
plt.rcParams['lines.linewidth'], plt.rcParams['figure.figsize']
#--
import matplotlib
print(matplotlib.matplotlib_fname().rpartition('/')[2])
#--
plt.plot([1, 2]);
"""

AGG = """
import matplotlib
matplotlib.use('agg')
import matplotlib.pyplot as plt
plt.plot([1, 2]); print(matplotlib.get_backend())
"""

PANDAS = """
import pandas as pd
pd.DataFrame({'a': [1, 2], 'b': ['x', None]})
#--
print({key: str(pd.get_option(key)).lower() for key in pd._config.config._registered_options})
#--
pd.options.display.max_rows = 4
pd.DataFrame({'n': range(10)})
#--
pd.DataFrame([range(40)])
#--
pd.DataFrame({'n': range(1000), 's': [str(n) for n in range(1000)]}).to_parquet('../made/frame.parquet')
pd.read_parquet('../made/frame.parquet').describe()
#--
import pyarrow, pyarrow.compute, pyarrow.parquet
table = pyarrow.parquet.read_table('../made/frame.parquet', use_threads=True)
table.num_rows, pyarrow.compute.sum(table['n']), pyarrow.cpu_count(), pyarrow.io_thread_count()
#--
print(pyarrow.total_allocated_bytes() >= 0, pyarrow.default_memory_pool().backend_name)
"""

SKLEARN = """
import numpy as np
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression
X = np.random.default_rng(0).normal(size=(300, 4)); y = X[:, 0] + X[:, 1] ** 2 > 1
LogisticRegression().fit(X, y)
#--
print(LogisticRegression().fit(X, y).coef_)
#--
print(HistGradientBoostingClassifier(random_state=0, max_iter=5).fit(X, y).score(X, y))
#--
print(RandomForestClassifier(10, random_state=0).fit(X, y).predict_proba(X[:3]))  # n_jobs: its threads race for warnings.filters
#--
print(np.linalg.svd(X[:20] @ X[:20].T)[1][:3].round(6), (np.ones((400, 400)) @ np.ones((400, 400))).sum())
#--
import joblib
print(joblib.Parallel(n_jobs=2)(joblib.delayed(abs)(n) for n in (-1, -2)))
print(joblib.Parallel(n_jobs=2, prefer="threads")(joblib.delayed(abs)(n) for n in (-1, -2)))
#--
print(np.get_printoptions(), np.geterr())
"""

POOLS = """
import numpy, threadpoolctl
print({one['num_threads'] for one in threadpoolctl.threadpool_info()})
#--
import os
print(os.environ['OMP_NUM_THREADS'], os.environ['OPENBLAS_NUM_THREADS'])
#--
import sklearn.ensemble
print(sorted({(one['user_api'], one['internal_api'], one['num_threads']) for one in threadpoolctl.threadpool_info()}))
#--
numpy.ones((600, 600)) @ numpy.ones((600, 600))
from sklearn.ensemble import HistGradientBoostingRegressor
HistGradientBoostingRegressor(max_iter=2).fit(numpy.arange(200).reshape(100, 2), numpy.arange(100))
print({one['num_threads'] for one in threadpoolctl.threadpool_info()})
"""

PROCESSES = """
import concurrent.futures, multiprocessing as mp, os
def double(n): return 2 * n
with mp.get_context('fork').Pool(2) as pool: print(pool.map(double, range(4)))
#--
import beside
with mp.get_context('spawn').Pool(2) as pool: print(pool.map_async(beside.triple, range(4)).get(60))
#--
with mp.get_context('forkserver').Pool(1) as pool: print(pool.map_async(beside.triple, range(4)).get(60))
#--
with mp.get_context('spawn').Pool(1) as pool:
    try:
        print(pool.map_async(len, ['a', 'bb']).get(60))
    except Exception as error: print(type(error))
#--
with concurrent.futures.ProcessPoolExecutor(2, mp_context=mp.get_context('fork')) as pool: print(list(pool.map(double, range(4))))
#--
with concurrent.futures.ProcessPoolExecutor(1, mp_context=mp.get_context('spawn')) as pool: print(pool.submit(beside.triple, 5).result())
#--
with mp.Manager() as manager:
    shared = manager.dict(); shared['a'] = 1; print(dict(shared))
#--
from multiprocessing import shared_memory
block = shared_memory.SharedMemory(create=True, size=16); block.buf[0] = 7; print(block.buf[0]); block.close(); block.unlink()
#--
queue = mp.Queue()
one = mp.Process(target=lambda: queue.put((os.getppid() == parent, mp.parent_process().name)))
parent = os.getpid()
one.start(); print(queue.get(timeout=60)); one.join(); print(one.exitcode, one.name)
#--
pool = mp.Pool(2); print(pool.map(double, [1]))  # left open: the kernel's end has to cope
#--
print([one.name for one in mp.active_children()] != [])
"""

DAEMON = """
import os, sys
# A child that leaves its session and its parent, as daemons do, and stays.
reader, writer = os.pipe()
if (child := os.fork()) == 0:
    os.setsid()
    if os.fork() == 0:
        os.write(writer, str(os.getpid()).encode())
        import time
        while True: time.sleep(60)
    os._exit(0)
os.waitpid(child, 0)
pid = int(os.read(reader, 20))
open('../free/daemon.txt', 'w').write(str(pid))
print('it lives', os.path.exists(f'/proc/{pid}'))
"""

CHILD = """
import subprocess, sys
left = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'], start_new_session=True)
open('../free/child.txt', 'w').write(str(left.pid))
print(left.poll())
"""

FORKS = """
import os
reader, writer = os.pipe()
if (child := os.fork()) == 0:
    os.write(writer, b'from the child'); os._exit(3)
print(os.read(reader, 100), os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
#--
pid = os.posix_spawn('/bin/true', ['true'], os.environ)
print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
#--
reader, writer = os.pipe()
if (child := os.fork()) == 0:
    import threading
    os.write(writer, str(threading.active_count()).encode()); os._exit(0)
os.waitpid(child, 0); print(os.read(reader, 10))
#--
import subprocess
print(subprocess.run('echo $NBPIPELINE_STAGE; exit 4', shell=True, capture_output=True))
"""

ASYNC = """
import asyncio
await asyncio.gather(asyncio.sleep(0.01, 'a'), asyncio.sleep(0, 'b'))
#--
print(type(asyncio.get_running_loop()).__qualname__, asyncio.get_running_loop().get_debug(), type(asyncio.get_event_loop_policy()).__qualname__)
#--
process = await asyncio.create_subprocess_exec('echo', 'async child', stdout=asyncio.subprocess.PIPE)
print(await process.communicate(), process.returncode)
#--
print(await asyncio.to_thread(sum, [1, 2]))
#--
async def later(): await asyncio.sleep(0.01); print('later')
task = asyncio.create_task(later())
#--
await task
#--
work = later()
try: asyncio.run(work)
except RuntimeError as error: print(error)
work.close()
#--
async with asyncio.timeout(5): print('in time')
"""

THREADS = """
import threading
from concurrent.futures import ThreadPoolExecutor
with ThreadPoolExecutor(4) as pool: print(list(pool.map(lambda n: n * n, range(5))))
#--
one = threading.Thread(target=print, args=('from a thread',)); one.start(); one.join()
#--
print(one.name, threading.stack_size())
#--
done = threading.Event(); timer = threading.Timer(0.01, done.set); timer.start(); print(done.wait(10)); timer.join()
#--
held = threading.local(); print(vars(held), threading.excepthook.__qualname__)
"""

SHELL = """
!echo hello from a shell
#--
listed = !printf 'a\\nb\\n'
print(listed, listed.s)
#--
%%bash
echo "in bash: $NBPIPELINE_STAGE"; echo wrong >&2
#--
%%sh
exit 0
#--
!exit 3
print(_exit_code)
#--
%env SET_HERE=1
#--
!echo $SET_HERE {1 + 1}
#--
%%writefile ../made/written.txt
by a magic
#--
%cd -q ..
%pwd
#--
%cd -q notebooks
#--
%%capture caught
print('kept')
#--
print(caught.stdout)
#--
%run -i beside.py
print(triple(2))
#--
%who_ls
#--
%%time
x = 1
#--
spent = %timeit -n 2 -r 2 -q -o sum(range(10))
print(spent.loops, spent.repeat, len(spent.all_runs))
#--
%timeit -n 2 -r 2 sum(range(10))
#--
%%python
print('another interpreter')
#--
%load_ext autoreload
%autoreload 2
#--
%%html
<b>html</b>
#--
%precision 2
3.14159
"""

SHELL_FAILS = """
%%bash
echo before; exit 5
"""

PICKLES = """
import pickle, sys
from dataclasses import dataclass
@dataclass
class Point:
    x: int
one = pickle.loads(pickle.dumps(Point(1)))
print(one, one == Point(1), Point.__module__, Point.__qualname__)
#--
def plain(n): return n + 1
print(pickle.loads(pickle.dumps(plain)) is plain)
#--
import inspect
print(inspect.getsource(plain))
#--
import cloudpickle, subprocess
code = 'import pickle, sys; print(pickle.load(sys.stdin.buffer)(41))'
print(subprocess.run([sys.executable, '-c', code], input=cloudpickle.dumps(plain), capture_output=True).stdout)
#--
try: pickle.dumps(lambda: 0)
except Exception as error: print(type(error).__name__)
#--
import copy; copy.deepcopy(Point(2))
#--
pickle.dump({'a': [1, 2]}, open('../made/pickled.bin', 'wb'))
#--
print(inspect.currentframe().f_code.co_filename.startswith('/tmp/ipykernel_'), __builtins__ is __import__('builtins'))
"""

SEEDED = """
import random, numpy as np
random.seed(3); np.random.seed(3)
print(random.random(), random.sample(range(100), 3), np.random.rand(2), np.random.default_rng(3).integers(9, size=3))
#--
from sklearn.utils import shuffle
print(shuffle([1, 2, 3, 4, 5], random_state=1))
#--
print(random.Random('text').random(), np.random.RandomState(5).permutation(5))
"""

FREE = """
import json, multiprocessing, os, random, secrets, ssl, tempfile, uuid
import numpy as np
import pandas as pd
drawn = {
    'random': random.random(), 'getrandbits': random.getrandbits(64), 'choice': ''.join(random.choices('abcdef', k=20)),
    'numpy': float(np.random.rand()), 'numpy normal': float(np.random.normal()), 'generator': float(np.random.default_rng().random()),
    'RandomState': float(np.random.RandomState().rand()), 'state': str(np.random.get_state()[1][:5].tolist()),
    'pandas': pd.Series(range(10**6)).sample(3).tolist(), 'uuid4': str(uuid.uuid4()), 'uuid1': str(uuid.uuid1()), 'secrets': secrets.token_hex(),
    'ssl': ssl.RAND_bytes(8).hex(), 'temporary': tempfile.mktemp(), 'urandom': os.urandom(8).hex(),
    'authkey': bytes(multiprocessing.current_process().authkey).hex(), 'hash': hash('x'), 'object': hash(b'x'),
    'names': next(tempfile._get_candidate_names()), 'pid': os.getpid(), 'command': open('/proc/self/cmdline').read(),
}
json.dump(drawn, open(f'../free/{name}.json', 'w'))
print(sorted(drawn))
"""

EXITS = """
import atexit, threading, weakref, tempfile
atexit.register(lambda: open('../made/atexit.txt', 'a').write('at exit\\n'))
#--
class Held: pass
held = Held()
weakref.finalize(held, lambda: open('../made/finalized.txt', 'w').write('finalized'))
#--
left = open('../made/left_open.txt', 'w'); left.write('buffered')
#--
folder = tempfile.TemporaryDirectory(prefix='conformance-'); open('../free/folder.txt', 'w').write(folder.name)
#--
class Last:
    def __del__(self): open('../made/deleted.txt', 'w').write('deleted')
import beside; beside.last = Last()
#--
threading._register_atexit(lambda: open('../made/threads.txt', 'w').write('threads'))
#--
def slow():
    threading.Event().wait(0.3); open('../made/thread.txt', 'w').write('whole')
threading.Thread(target=slow).start()
#--
import logging.handlers
memory = logging.handlers.MemoryHandler(100, target=logging.FileHandler('../made/logged.txt')); logging.getLogger('m').addHandler(memory)
logging.getLogger('m').warning('kept until the end')
"""

IPYTHON = """
import sys
ip = get_ipython()
print(type(ip).__qualname__, type(ip.kernel).__qualname__, ip.execution_count, ip.user_ns is globals(), ip.kernel.implementation)
#--
print(sorted(ip.magics_manager.magics['line']), sorted(ip.magics_manager.magics['cell']))
#--
print({name: sorted(one.__qualname__ for one in found) for name, found in ip.events.callbacks.items()})
#--
print(ip.ast_transformers, ip.input_transformers_post, ip.history_manager.hist_file, ip.colors, ip.ast_node_interactivity, ip.autocall)
#--
import ipykernel.connect, os, stat
place = ipykernel.connect.get_connection_file()
print(oct(stat.S_IMODE(os.stat(place).st_mode)), oct(stat.S_IMODE(os.stat(os.path.dirname(place)).st_mode)))
#--
import json
print(sorted(json.load(open(place))), json.load(open(place))['transport'])
#--
from traitlets.config import Application
app = Application.instance()
print(type(app).__qualname__, app.config, app.argv and len(app.argv), app.profile, app.loaded_config_files, app.log.level)
#--
print(ip.kernel.shell_streams if hasattr(ip.kernel, 'shell_streams') else None, ip.kernel.debugger is not None, type(ip.display_pub).__qualname__)
#--
print(sorted(name for name in globals() if not name.startswith('_i') and not name.startswith('_o')))
#--
f?
#--
%history -n 1-2
"""

PATHS = """
import extra
print(extra.WHAT, extra.__file__)
#--
import sys
print(sys.path)
#--
print(open('../made/../notebooks/beside.py').readline())
"""

AT_PROJECT = """
import os, sys
print(os.getcwd(), sys.path[:3])
"""

FILES = """
import os, stat, tempfile
open('../made/mode.txt', 'w').write('x'); print(oct(stat.S_IMODE(os.stat('../made/mode.txt').st_mode)))
#--
print(tempfile.gettempdir(), os.path.dirname(tempfile.mkstemp()[1]), tempfile.gettempprefix())
#--
open('../made/text.txt', 'w').write('Größe'); print(open('../made/text.txt').encoding, os.path.getsize('../made/text.txt'))
#--
import time; print(time.strftime('%Z'), time.tzname)
#--
import decimal; print(decimal.getcontext())
#--
import sqlite3
with sqlite3.connect('../made/db.sqlite') as db: db.execute('create table t (a)'); db.execute('insert into t values (1)'); print(db.execute('select * from t').fetchall())
"""

DEEP = """
import sys
def down(n): return 0 if n == 0 else 1 + down(n - 1)
try: down(10**6)
except RecursionError as error: print('RecursionError')
#--
sys.setrecursionlimit(30_000); print(down(25_000))
#--
nested = []
for _ in range(100_000): nested = [nested]
try: repr(nested)
except RecursionError as error: print('RecursionError')
#--
import re; print(len(re.match('(a|b)*', 'ab' * 50_000)[0]))
"""

COLLECTED = """
import gc, weakref
class Loop: pass
one = Loop(); one.itself = one; gone = []
weakref.finalize(one, gone.append, 1); del one
gc.collect(); print(gone)
#--
print(gc.isenabled(), gc.garbage)
#--
kept = [dict() for _ in range(200_000)]; print(len(kept)); del kept
"""

SECRET = """
import os
print(os.environ['CONFORMANCE_SECRET'])
"""

RAISES = """
def inner(n):
    return 1 / n
#--
class Custom(Exception): pass
try: inner(0)
except ZeroDivisionError as error: raise Custom('a message') from error
"""

IN_MODULE = "import beside\nbeside.fails()"

HASHES = """
print(hash('x'), {'a', 'b', 'c', 'd'}, __import__('sys').flags.hash_randomization)
#--
print(STARTED, FROM_CONFIG)
#--
import warnings
try: warnings.warn('an error by PYTHONWARNINGS', UserWarning)
except UserWarning as error: print(type(error))
"""

CASES: tuple[Case, ...] = (
    Case(name="process", text=PROCESS),
    Case(name="signals", text=SIGNALS),
    Case(name="interrupted", text=INTERRUPTED),
    Case(name="modules", text=MODULES),
    Case(name="displays", text=DISPLAYS),
    Case(name="comms", text=COMMS),
    Case(name="bars", text=BARS),
    Case(name="streams", text=STREAMS),
    Case(name="descriptors", text=DESCRIPTORS),
    Case(name="warnings_shown", text=WARNINGS),
    Case(name="figures", text=MATPLOTLIB, header="outputs: {figure: ../made/figure.png}"),
    Case(name="agg", text=AGG),
    Case(name="frames", text=PANDAS, header="outputs: {frame: ../made/frame.parquet}"),
    Case(name="models", text=SKLEARN),
    Case(name="one_cpu", text=POOLS, header="resources: {cpus: 1}"),
    Case(name="two_cpus", text=POOLS, header="resources: {cpus: 2}"),
    Case(name="processes", text=PROCESSES),
    Case(name="daemon", text=DAEMON, header="outputs: {pid: {path: ../free/daemon.txt, store: false}}"),
    Case(name="child", text=CHILD, header="outputs: {pid: {path: ../free/child.txt, store: false}}"),
    Case(name="forks", text=FORKS),
    Case(name="awaits", text=ASYNC),
    Case(name="threads", text=THREADS),
    Case(name="shell", text=SHELL, header="outputs: {written: ../made/written.txt}"),
    Case(name="shell_fails", text=SHELL_FAILS),
    Case(name="pickles", text=PICKLES, header="outputs: {pickled: ../made/pickled.bin}"),
    Case(name="seeded", text=SEEDED),
    *(
        Case(name=name, text=f"name = {name!r}\n{FREE}", header=f"outputs: {{drawn: ../free/{name}.json}}")
        for name in ("free_one", "free_two", "free_three")
    ),
    Case(
        name="exits",
        text=EXITS,
        header="outputs: {a: ../made/atexit.txt, b: ../made/left_open.txt, c: ../made/thread.txt, d: ../made/logged.txt, e: ../made/finalized.txt, f: ../made/threads.txt}",
    ),
    Case(name="shells_own", text=IPYTHON),
    Case(name="paths", text=PATHS, header="pythonpath: [../src]"),
    Case(name="at_project", text=AT_PROJECT, header="cwd: project"),
    Case(
        name="files",
        text=FILES,
        header="outputs: {mode: ../made/mode.txt, text: ../made/text.txt, db: ../made/db.sqlite}",
    ),
    Case(name="deep", text=DEEP),
    Case(name="collected", text=COLLECTED),
    Case(name="secret", text=SECRET, header="secrets: [CONFORMANCE_SECRET]"),
    Case(name="raises", text=RAISES),
    Case(name="in_module", text=IN_MODULE),
    Case(name="asks", text="x = input('value? ')"),
    Case(name="asks_secretly", text="import getpass; getpass.getpass()"),
    Case(name="leaves", text="import sys; sys.exit(2)"),
    Case(name="quits", text="exit()"),
    Case(name="ends", text="import os; os._exit(3)"),
    Case(name="crashes", text="import ctypes; ctypes.string_at(0)"),
    Case(name="aborts", text="import os; os.abort()"),
    Case(name="killed", text="import os, signal; os.kill(os.getpid(), signal.SIGKILL)"),
    Case(
        name="out_of_memory",
        text="import resource\nresource.setrlimit(resource.RLIMIT_AS, (3 << 30, 3 << 30))\nx = bytearray(8 << 30)",
    ),
    Case(name="unparsable", text="x = ("),
    Case(name="unknown_name", text="print(no_such_name)"),
)

VARIED: tuple[Case, ...] = (
    Case(name="process", text=PROCESS),
    Case(name="signals", text=SIGNALS),
    Case(name="hashes", text=HASHES),
    Case(name="warnings_shown", text="import warnings\nwarnings.warn('used', UserWarning)"),
    Case(name="figures", text=MATPLOTLIB_FILE),
    Case(name="files", text=FILES),
    Case(name="shells_own", text=IPYTHON),
    Case(name="frames", text="import pandas as pd, numpy\npd.DataFrame({'a': [1]})"),
)
"""Run with variables, limits and settings of another kind (test_same_results.py)."""
