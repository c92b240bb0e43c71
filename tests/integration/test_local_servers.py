"""The embedded servers: real ones, started, stopped, killed and started again."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from redis import Redis

from deploy.local import folders, processes
from deploy.local.errors import ServerFailed
from deploy.local.postgres import Postgres
from deploy.local.server import Server
from deploy.local.valkey import Valkey
from tests import servers
from tests.patience import PATIENCE

KINDS = pytest.mark.parametrize("kind", [Postgres, Valkey])

# Starts the server on a folder, says so, and then waits to be killed.
HOLDER = """
import sys
from pathlib import Path
from deploy.local.postgres import Postgres
from deploy.local.valkey import Valkey

{kind}(Path(sys.argv[1]), durable={durable}).start()
print("started", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def folder() -> Iterator[Path]:
    with servers.scratch_folder() as folder:
        yield folder


def quick(kind: type[Server], folder: Path) -> Server:
    """A server that keeps its data over the end of its process, which PostgreSQL does without fsync as well."""
    return kind(folder / "server", durable=kind is Valkey)


def alive(server: Server) -> list[int]:
    return processes.carrying(server.marker, server.program_names)


def write(server: Server) -> None:
    match server:
        case Postgres():
            with psycopg.connect(server.url()) as conn:
                conn.execute("CREATE TABLE kept AS SELECT 'kept' AS word")
        case Valkey():
            with client(server) as redis:
                redis.set("word", "kept")
        case _:
            raise NotImplementedError


def read(server: Server) -> str:
    match server:
        case Postgres():
            with psycopg.connect(server.url()) as conn:
                [row] = conn.execute("SELECT word FROM kept").fetchall()
                return str(row[0])
        case Valkey():
            with client(server) as redis:
                return str(redis.get("word"))
        case _:
            raise NotImplementedError


def client(server: Valkey) -> Redis:
    return Redis.from_url(server.url(), decode_responses=True)  # pyright: ignore[reportUnknownMemberType]


@KINDS
def test_data_is_kept_over_a_stop_and_a_start(kind: type[Server], folder: Path) -> None:
    with kind(folder / "server") as server:
        write(server)
        server.restart()

        assert read(server) == "kept"


@KINDS
def test_no_process_and_no_socket_is_left_after_a_stop(kind: type[Server], folder: Path) -> None:
    with kind(folder / "server", durable=False) as server:
        assert alive(server)

    assert not alive(server)
    assert not list(server.sockets.iterdir())


def test_committed_rows_survive_a_crash_of_postgresql(folder: Path) -> None:
    with Postgres(folder / "server") as server:
        write(server)
        server.restart(immediate=True)

        assert read(server) == "kept"


@KINDS
def test_a_killed_parent_takes_its_server_with_it_and_the_next_run_finds_the_data(
    kind: type[Server], folder: Path
) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER.format(kind=kind.__name__, durable=kind is Valkey), folder / "server"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"started\n"
        server = quick(kind, folder)
        write(server)
        holder.kill()

    assert processes.until(lambda: not alive(server), seconds=PATIENCE)
    with server:
        assert read(server) == "kept"


@KINDS
def test_a_server_that_an_earlier_run_left_behind_is_taken_down(kind: type[Server], folder: Path) -> None:
    left_behind, server = quick(kind, folder), kind(folder / "server")
    with left_behind:
        write(left_behind)
        with server:
            assert left_behind.has_ended()
            assert read(server) == "kept"


def test_pid_files_of_a_crash_do_not_block_a_start_although_their_pid_lives_on(folder: Path) -> None:
    server = Postgres(folder / "server", durable=False)
    with server:
        pid_file = (server.data / "postmaster.pid").read_text()
        lock_file = (server.sockets / f"{server.socket_name}.lock").read_text()
    others = subprocess.Popen(processes.tethered(["/bin/sleep", "900"], dies_by=signal.SIGKILL, account=server.account))
    for path, text in ((server.data / "postmaster.pid", pid_file), (server.sockets / ".s.PGSQL.5432.lock", lock_file)):
        path.write_text(text.replace(text.splitlines()[0], str(others.pid), 1))

    try:
        with server:
            assert server.is_ready()
            assert others.poll() is None
    finally:
        others.kill()
        others.wait()


@KINDS
def test_sigkill_of_the_server_itself_does_not_block_a_start(kind: type[Server], folder: Path) -> None:
    with quick(kind, folder) as server:
        first = server.pid
        os.kill(first, signal.SIGKILL)
        assert processes.until(server.has_ended, seconds=PATIENCE)

        server.start()

        assert server.pid != first


@KINDS
def test_a_deep_folder_gets_its_socket_elsewhere_and_leaves_nothing_there(kind: type[Server], folder: Path) -> None:
    server = kind(folder / ("d" * 100) / "server", durable=False)
    folders.made(server.folder.parent, folders.PASSABLE)

    with server:
        assert server.sockets.parent != server.folder
        write(server)

    assert not server.sockets.exists()


def test_postgresql_listens_on_no_port_and_knows_the_case_of_every_letter(folder: Path) -> None:
    with Postgres(folder / "server", durable=False) as server, psycopg.connect(server.url()) as conn:
        [row] = conn.execute(
            "SELECT current_setting('listen_addresses'), current_setting('TimeZone'), lower('ÄΣ'), current_user::text"
        ).fetchall()

    assert row == ("", "UTC", "äσ", "qhronos")


def test_the_sockets_are_for_one_account_only(folder: Path) -> None:
    with Postgres(folder / "server", durable=False) as server:
        assert server.sockets.stat().st_mode & 0o077 == 0
        assert server.sockets.stat().st_uid == (server.account.uid if server.account else os.geteuid())


def test_a_server_that_cannot_start_says_why(folder: Path) -> None:
    with Postgres(folder / "server", durable=False) as server:
        pass
    (server.data / "global" / "pg_control").unlink()

    with pytest.raises(ServerFailed, match="pg_control"):
        server.start()

    assert not alive(server)


def test_databases_are_clones_of_a_template_that_is_migrated_once(folder: Path) -> None:
    migrated: list[str] = []

    def migrate(url: str) -> None:
        migrated.append(url)
        with psycopg.connect(url) as conn:
            conn.execute("CREATE TABLE things (id int)")
            conn.execute("CREATE TABLE schema_migrations AS SELECT 1 AS version")

    with Postgres(folder / "server", durable=False) as server:
        with servers.Databases(server.url(), migrate) as databases:
            first, second = databases.create(), databases.create()
            with psycopg.connect(first) as conn:
                conn.execute("INSERT INTO things VALUES (1)")
            servers.empty(first)
            assert count(first, "SELECT count(*) FROM things") == 0
            assert count(first, "SELECT count(*) FROM schema_migrations") == 1
            assert count(second, "SELECT count(*) FROM things") == 0
        assert len(migrated) == 1
        assert count(server.url(), "SELECT count(*) FROM pg_database WHERE datname LIKE 'qhronos_test%'") == 0


def count(url: str, query: str) -> object:
    with psycopg.connect(url) as conn:
        row = conn.execute(query.encode()).fetchone()
    assert row is not None
    return row[0]


def test_only_databases_of_the_tests_can_be_emptied() -> None:
    with pytest.raises(ValueError, match="not a database of the tests"):
        servers.empty("postgresql://somewhere/qhronos")


def test_a_redis_database_with_keys_in_it_is_not_taken(folder: Path) -> None:
    with Valkey(folder / "server", durable=False) as server:
        write(server)

        with pytest.raises(servers.NotEmpty), servers.redis_server(server.url()):
            pass

        assert read(server) == "kept"
