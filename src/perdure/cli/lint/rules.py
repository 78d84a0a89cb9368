"""The rules: codes, what each is about, and the names in other modules that break them."""

from __future__ import annotations

from msgspec import Struct

#: code -> title, as listed in docs/reference/lint.md
TITLES = {
    "PD001": "file is not valid Python",
    "PD101": "clock read in an orchestrator",
    "PD102": "random value in an orchestrator",
    "PD103": "sleep in an orchestrator",
    "PD104": "asyncio primitive in an orchestrator",
    "PD105": "input or output in an orchestrator",
    "PD106": "environment read in an orchestrator",
    "PD107": "global state in an orchestrator",
    "PD108": "thread or process in an orchestrator",
    "PD201": "task that is never yielded",
    "PD202": "something yielded that is no task",
    "PD203": "activity, orchestrator or entity function called directly",
    "PD204": "generator called without `yield from`",
    "PD205": "async generator as orchestrator",
    "PD206": "orchestrator with the wrong parameters",
}

#: methods of the orchestration context that return a task
TASK_METHODS = frozenset(
    {
        "call_activity",
        "call_activity_with_retry",
        "call_sub_orchestrator",
        "call_sub_orchestrator_with_retry",
        "call_http",
        "call_entity",
        "create_timer",
        "wait_for_external_event",
        "task_all",
        "task_any",
        "when_all",
        "when_any",
    }
)

#: methods of the orchestration context that return nothing to wait for
NO_TASK_METHODS = frozenset({"continue_as_new", "set_custom_status", "get_input", "new_uuid", "new_guid"})

#: methods that change a list, dict, set or deque in place
MUTATORS = frozenset(
    """append appendleft add clear discard extend extendleft insert pop popitem popleft remove reverse setdefault
    sort update""".split()  # noqa: SIM905
)


class Finding(Struct, frozen=True, order=True):
    """One broken rule. `line` and `column` count from 1."""

    path: str
    line: int
    column: int
    code: str
    message: str
    end_line: int = 0
    end_column: int = 0


class Forbidden(Struct, frozen=True):
    """`code` and what to do instead. `called_only`: naming it is harmless, calling it is not; `without_arguments`:
    only when called with none."""

    code: str
    advice: str
    called_only: bool = False
    without_arguments: bool = False


_CLOCK = Forbidden("PD101", "use `context.current_utc_datetime`")
_CLOCK_BARE = Forbidden("PD101", "use `context.current_utc_datetime`", called_only=True, without_arguments=True)
_RANDOM = Forbidden("PD102", "draw it in an activity, or use `context.new_uuid()` or `context.new_guid()` for an id")
_RANDOM_BARE = Forbidden("PD102", "give it a seed, or draw in an activity", called_only=True, without_arguments=True)
_SLEEP = Forbidden("PD103", "use `yield context.create_timer(context.current_utc_datetime + timedelta(...))`")
_ASYNC = Forbidden("PD104", "use the context's tasks, `task_all` and `task_any`", called_only=True)
_IO = Forbidden("PD105", "do it in an activity", called_only=True)
_HTTP = Forbidden("PD105", "use `context.call_http` or an activity", called_only=True)
_ENVIRONMENT = Forbidden("PD106", "read it in an activity or pass it as input: another deployment may answer otherwise")
_THREAD = Forbidden("PD108", "use activities with `task_all`", called_only=True)

_NAMES = {
    _CLOCK: """datetime.datetime.now datetime.datetime.utcnow datetime.datetime.today datetime.date.today time.time
        time.time_ns time.monotonic time.monotonic_ns time.perf_counter time.perf_counter_ns time.process_time
        time.clock_gettime""",
    _CLOCK_BARE: "time.localtime time.gmtime time.ctime time.asctime",
    _RANDOM: """uuid.uuid1 uuid.uuid4 uuid.uuid6 uuid.uuid7 os.urandom os.getrandom random.SystemRandom""",
    _RANDOM_BARE: "random.Random numpy.random.default_rng numpy.random.RandomState",
    _SLEEP: "time.sleep asyncio.sleep",
    _IO: """open io.open input os.listdir os.scandir os.walk os.remove os.unlink os.rename os.replace os.mkdir
        os.makedirs os.rmdir os.stat os.system os.popen os.path.exists os.path.isfile os.path.isdir os.path.getsize
        os.path.getmtime glob.glob glob.iglob""",
    _ENVIRONMENT: "os.environ os.environb os.getenv os.getenvb os.cpu_count os.getpid socket.gethostname platform.node",
    _THREAD: "asyncio.to_thread os.fork",
}
_MODULES = {
    _RANDOM: "random secrets numpy.random",
    _ASYNC: "asyncio anyio trio",
    _HTTP: "requests httpx aiohttp urllib.request urllib3 http.client",
    _IO: """socket subprocess shutil tempfile sqlite3 smtplib ftplib imaplib telnetlib socketserver ssl select
        psycopg psycopg2 asyncpg pyodbc pymongo pymysql redis boto3 paramiko sqlalchemy.create_engine
        azure.storage azure.cosmos azure.servicebus azure.eventhub azure.identity azure.keyvault azure.data
        pandas.read_csv pandas.read_sql pandas.read_excel pandas.read_json pandas.read_parquet""",
    _THREAD: "threading multiprocessing concurrent.futures _thread",
}

_BY_NAME = {name: forbidden for forbidden, names in _NAMES.items() for name in names.split()}
_BY_MODULE = {module: forbidden for forbidden, modules in _MODULES.items() for module in modules.split()}

#: methods of `pathlib.Path` that touch the file system
PATH_METHODS = frozenset(
    """exists glob is_dir is_file iterdir mkdir open read_bytes read_text rename replace rglob rmdir stat touch unlink
    write_bytes write_text""".split()  # noqa: SIM905
)
PATH_ADVICE = _IO

_HARMLESS_ENDINGS = ("Error", "Exception", "Timeout", "Warning", "Cancelled")


def forbidden(name: str) -> Forbidden | None:
    """What is wrong with using the dotted `name` (import aliases resolved) in an orchestrator, None if nothing."""
    found = _BY_NAME.get(name)
    if found is not None:
        return found
    parts = name.split(".")
    if parts[-1].endswith(_HARMLESS_ENDINGS):
        return None
    for length in range(len(parts) - 1, 0, -1):
        found = _BY_MODULE.get(".".join(parts[:length]))
        if found is not None:
            return found
    return _BY_MODULE.get(name) if name.count(".") else None
