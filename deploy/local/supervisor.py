"""Run everything in the foreground: servers, migrations, services; start again what dies; stop in the reverse order.

Plain and synchronous, because Linux ends a tethered child when the thread that spawned it ends: all of them belong to
this one. Nothing here blocks for long, so a death or a stop is noticed within a fraction of a second.
"""

from __future__ import annotations

import math
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from signal import SIGHUP, SIGINT, SIGKILL, SIGTERM, Signals

from deploy.local import accounts, backoff, banner, folders, processes, secrets_file, settings
from deploy.local import services as qhronos
from deploy.local.errors import CannotRun, MigrationFailed
from deploy.local.output import say
from deploy.local.parent import Parent
from deploy.local.postgres import Postgres
from deploy.local.server import Server
from deploy.local.services import Service
from deploy.local.settings import SERVICES, Settings, bracketed
from deploy.local.valkey import Valkey

STEP = 0.05
IMPATIENT = 15.0


class StopRequest:
    """Whether somebody wants the run to end; asking twice changes nothing."""

    def __init__(self) -> None:
        self._signalled = False
        self._parent = Parent()

    @property
    def made(self) -> bool:
        """Whether the wish has come, as a signal or by way of `make`."""
        return self._signalled or self._parent.wants_to_stop()

    def listen(self) -> None:
        """Take SIGINT, SIGTERM and SIGHUP as the wish to stop; `nohup` keeps its meaning."""
        for number in (SIGINT, SIGTERM, SIGHUP):
            if number != SIGHUP or signal.getsignal(SIGHUP) != signal.SIG_IGN:
                signal.signal(number, self._make)

    def _make(self, *_: object) -> None:
        self._signalled = True


class Watched:
    """A child that is started again whenever it ends."""

    def __init__(self, child: Server | Service) -> None:
        self._child = child
        self._deaths = 0
        self._started_at = time.monotonic()
        self._start_at: float | None = None

    def look(self, now: float) -> None:
        """Say when the child has died, and start it again when its time has come."""
        process = self._child.process
        if self._start_at is None and process is not None and (code := process.poll()) is not None:
            self._plan(now, ending(code))
        elif self._start_at is not None and now >= self._start_at:
            self._started_at = now
            self._start_at = None
            try:
                self._child.launch()
            except (CannotRun, OSError) as error:
                self._plan(now, str(error))

    def _plan(self, now: float, why: str) -> None:
        self._deaths = backoff.deaths_after(self._deaths, now - self._started_at)
        delay = backoff.delay_after(self._deaths)
        self._start_at = now + delay
        say(f"{self._child.name} has ended ({why}); it starts again in {delay:g} s")


class Announcement:
    """Prints the banner as soon as all services are ready, and says what it waits for when that takes long."""

    def __init__(self, wanted: Settings, master_token: str) -> None:
        self._to_ask = wanted.ready_at
        self._banner = banner.text(wanted, master_token)
        self._started_at = time.monotonic()
        self._waiting_said = False

    def look(self, now: float) -> None:
        """Ask the services that were not ready the last time."""
        while self._to_ask:
            host, port = self._to_ask[0]
            ready, answer = qhronos.readiness(host, port)
            if not ready:
                if not self._waiting_said and now - self._started_at > IMPATIENT:
                    say(f"still waiting for http://{bracketed(host)}:{port}/ready: {answer}")
                    self._waiting_said = True
                return
            self._to_ask.pop(0)
            if not self._to_ask:
                say(self._banner)


def ending(code: int) -> str:
    """Return how a process ended, from its `returncode`."""
    return Signals(-code).name if code < 0 else f"exit code {code}"


def run(values: Mapping[str, str], wanted: Settings, stop: StopRequest) -> None:
    """Run until a stop is requested, and return when no process of the run is left."""
    servers = servers_for(wanted)
    services: list[Service] = []
    try:
        start_servers(servers, stop)
        given = given_by_the_run(wanted, servers)
        if not stop.made:
            migrate(settings.environment_of("api", values, wanted, given), stop)
        if not stop.made:
            services += [Service(name, settings.environment_of(name, values, wanted, given)) for name in SERVICES]
            for service in services:
                service.launch()
            token = values.get("QHRONOS_MASTER_TOKEN") or given["QHRONOS_MASTER_TOKEN"]
            watch([*servers, *services], Announcement(wanted, token), stop)
            say("stopping")
    finally:
        qhronos.stop_all(services)
        for server in reversed(servers):
            server.stop()
    say("stopped, and nothing is lost")


def servers_for(wanted: Settings) -> list[Server]:
    """Return the servers that no URL stands for, PostgreSQL first: it stops last."""
    servers: list[Server] = []
    folder = folders.servers_folder(wanted.data, accounts.for_servers())
    if wanted.database_url is None:
        servers.append(Postgres(folder / Postgres.name))
    if wanted.redis_url is None:
        servers.append(Valkey(folder / Valkey.name))
    return servers


def start_servers(servers: list[Server], stop: StopRequest) -> None:
    """Start all of them side by side, and return when they answer or a stop is requested."""
    for server in servers:
        server.launch()
    for server in servers:
        server.wait(given_up=lambda: stop.made)


def given_by_the_run(wanted: Settings, servers: list[Server]) -> dict[str, str]:
    """Return the settings that the run makes where its user left them open."""
    return {
        "QHRONOS_MASTER_TOKEN": secrets_file.kept(wanted.data, "master_token"),
        "QHRONOS_JWT_SECRET": secrets_file.kept(wanted.data, "jwt_secret"),
        "QHRONOS_ENCRYPTION_KEYS": secrets_file.kept(wanted.data, "encryption_key"),
        **{server.url_setting: server.url() for server in servers},
    }


def migrate(environment: Mapping[str, str], stop: StopRequest) -> None:
    """Bring the schema up to date, or raise `MigrationFailed`."""
    command = processes.tethered([sys.executable, "-m", "migrations"], dies_by=SIGKILL)
    process = processes.spawn(command, env=environment)
    processes.until(lambda: process.poll() is not None or stop.made, seconds=math.inf)
    code = process.poll()
    if code is None:
        processes.end(process, [(SIGTERM, 5.0)])
    elif code != 0:
        raise MigrationFailed(f"the database could not be migrated: `python -m migrations` ended with {ending(code)}")


def watch(children: Sequence[Server | Service], announcement: Announcement, stop: StopRequest) -> None:
    """Start again what dies and announce the API once it is ready, until a stop is requested."""
    watched = [Watched(child) for child in children]
    while not stop.made:
        now = time.monotonic()
        for child in watched:
            child.look(now)
        announcement.look(now)
        time.sleep(STEP)
