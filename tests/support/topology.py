"""docker-compose.yml as plain processes: the same commands, settings, policy, roles and health checks.

What a container would be given from outside is put where a process can reach it: files and volumes under a folder,
other services on free ports of 127.0.0.1. Three things differ. nginx, which only hands out the bundle, is replaced by a
few lines of Python; the database's administrator is let in by the folder's rights, because a process has no user of its
own; and there are two gates, as on two machines.
"""

import http.server
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Final

from lockgate.demo.material import Material, make_material
from lockgate.demo.stage import free_port
from lockgate.system_clock import SystemClock
from support.compose_file import ROOT, SITE, ComposeService, read_compose

ORIGIN: Final = "topology.example/audit"
READY_S_MAX: Final = 60.0  # the slowest, a gate on a cold machine, takes a few seconds
STOP_S_MAX: Final = 30.0
_POLL_S: Final = 0.2
_DATABASE_USER: Final = "postgres"  # PostgreSQL refuses to be root
_PORTS: Final = {"bundles": 8080, "database": 5432, "lockgate": 8080, "opa": 8181}
_LOCKGATE: Final = (sys.executable, "-m", "lockgate")
_PEER: Final = re.compile(r"^(local\s.*)\bpeer$", re.MULTILINE)


class TopologyError(Exception):
    """A service did not do what it should; the message holds the end of what it said."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """How a command ended."""

    code: int
    out: str
    err: str


@dataclass(kw_only=True)
class Topology:
    """The services of docker-compose.yml in a folder, one process each.

    Attributes:
        folder: Of everything; its owner's alone.
        programs: Where PostgreSQL's programs lie.
        opa: The pinned OPA.
    """

    folder: Path
    programs: Path
    opa: Path
    site: Path = field(init=False)
    material: Material = field(init=False)
    log_key: str = field(default="", init=False)
    ports: dict[str, int] = field(init=False)
    _services: dict[str, ComposeService] = field(init=False)
    _processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict, init=False)
    _database: Path = field(init=False)
    _bundles: http.server.ThreadingHTTPServer | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        """Prepare the site: the demonstration's models, signers and people, under freshly made keys."""
        self.site = self.folder / "site"
        for made in ("site", "material", "logs", "run"):
            (self.folder / made).mkdir(mode=0o700)
        self.material = make_material(self.folder / "material", SystemClock())
        shutil.copytree(self.material.policy_config_dir, self.site / "policy")
        shutil.copytree(self.material.trust_dir, self.site / "trust")
        shutil.copy(ROOT / "service/lockgate/evidence/default_trust/public-good.toml", self.site / "trust")
        self.write_bundle()
        self._services = read_compose({"LOCKGATE_ORIGIN": ORIGIN})
        self.ports = {name: free_port() for name in (*_PORTS, "lockgate-2")}
        # Apart, because it becomes another user's; short, because the path of a socket must be.
        self._database = Path(tempfile.mkdtemp(prefix="lockgate-db-"))

    def write_bundle(self) -> None:
        """Sign the bundle of the site's policy as it is now."""
        done = subprocess.run(
            [sys.executable, ROOT / "scripts" / "prepare-deployment", self.site],
            check=False,
            capture_output=True,
            text=True,
        )
        if done.returncode != 0:
            raise TopologyError(done.stderr[-2000:])

    def start(self) -> None:
        """Start everything, in the order of the file, and wait until it is healthy."""
        self._start_bundles()
        self._start_database()
        self.log_key = self._run_to_end("migrate").strip()
        self._run_to_end("grants")
        self.start_opa()
        self.wait_for("opa")
        for name in ("lockgate", "lockgate-2"):
            self._start(name, self._command("lockgate", name), self.environment("lockgate", name))
        for name in ("tend", "deliver"):
            self._start(name, self._command(name), self.environment(name))
        for name in ("lockgate", "lockgate-2", "tend", "deliver"):
            self.wait_for(name)

    def start_opa(self) -> None:
        """Start OPA, as the file says."""
        command = [str(self.opa), *self._inside("opa", self._services["opa"].document["command"])]
        self._start("opa", [*command, f"--set=services.bundles.url=http://127.0.0.1:{self.ports['bundles']}"], {})

    def stop(self, *names: str) -> None:
        """Stop these services, or everything; the database last, because it waits for whoever is connected."""
        stopping = sorted(names or self._processes, key="database".__eq__)
        for name in stopping:
            if name != "database":
                self._processes[name].terminate()
        for name in stopping:
            process = self._processes.pop(name)
            process.terminate()
            try:
                process.wait(STOP_S_MAX)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        if not names:
            if self._bundles is not None:
                self._bundles.shutdown()
                self._bundles.server_close()
            shutil.rmtree(self._database, ignore_errors=True)

    def signal(self, name: str, number: signal.Signals) -> None:
        """Send a service a signal."""
        self._processes[name].send_signal(number)

    def url(self, name: str = "lockgate") -> str:
        """Return where a gate is reached."""
        return f"http://127.0.0.1:{self.ports[name]}"

    def said(self, name: str) -> str:
        """Return what a service wrote to its output."""
        return (self.folder / "logs" / name).read_text(errors="replace")

    def healthy(self, name: str) -> bool:
        """Run a service's own health check."""
        service = name.removesuffix("-2")
        kind, *command = self._services[service].document["healthcheck"]["test"]
        assert kind == "CMD"
        programs = {
            "python": sys.executable,
            "/opa": str(self.opa),
            "pg_isready": str(self.programs / "pg_isready"),
        }
        command = [programs[command[0]], *self._inside(service, command[1:], name)]
        port = str(self.ports["database"])
        done = subprocess.run(command, check=False, capture_output=True, env={"PGPORT": port}, timeout=READY_S_MAX)
        return done.returncode == 0

    def wait_for(self, name: str, *, healthy: bool = True) -> None:
        """Wait until a service's health check says so.

        Raises:
            TopologyError: It ended, or took too long.
        """
        deadline = time.monotonic() + READY_S_MAX
        while self.healthy(name) is not healthy:
            if self._processes[name].poll() is not None or time.monotonic() > deadline:
                raise TopologyError(f"{name}: {self.said(name)[-2000:]}")
            time.sleep(_POLL_S)

    def run(self, *arguments: str, service: str = "lockgate", **variables: str) -> Ended:
        """Run a `lockgate` command as a service would, in the folder with the model."""
        done = subprocess.run(
            [*_LOCKGATE, *arguments],
            check=False,
            capture_output=True,
            text=True,
            cwd=self.folder / "material",
            env={**self.environment(service), **variables},
            timeout=READY_S_MAX,
        )
        return Ended(code=done.returncode, out=done.stdout, err=done.stderr)

    def environment(self, service: str, name: str | None = None) -> dict[str, str]:
        """Return a service's variables, and the settings of its file that name a path or an address."""
        found = {"LOCKGATE_INSTANCE": name or service}
        for variable, value in self._services[service].document["environment"].items():
            found[variable] = self._inside(service, [value], name)[0]
        for setting, value in tomllib.loads(Path(found["LOCKGATE_CONFIG"]).read_text()).items():
            here = self._inside(service, [str(value)], name)[0]
            if here != str(value):
                found[f"LOCKGATE_{setting.upper()}"] = here
        return found

    def database_url(self, role: str) -> str:
        """Return a role's URL of the database."""
        return self._here(
            self._services["lockgate"], (self.site / "secrets" / f"database_{role}_url").read_text(), None
        )

    def _start_bundles(self) -> None:
        bundle = self.site / "bundles" / "bundle.tar.gz"

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                content = bundle.read_bytes()
                tag = f'"{sha256(content).hexdigest()}"'
                known = self.headers.get("If-None-Match", "")
                self.send_response(304 if tag in known else 200)
                self.send_header("ETag", tag)
                self.send_header("Content-Length", "0" if tag in known else str(len(content)))
                self.end_headers()
                if tag not in known:
                    self.wfile.write(content)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
                pass

        self._bundles = http.server.ThreadingHTTPServer(("127.0.0.1", self.ports["bundles"]), Handler)
        self._bundles.daemon_threads = True
        threading.Thread(target=self._bundles.serve_forever, daemon=True).start()

    def _start_database(self) -> None:
        service = self._services["database"]
        mounted = self._database / "mounted"
        for folder in ("data", "mounted", "run"):
            (self._database / folder).mkdir()
        for inside, source in service.mounts().items():
            if source.startswith("./"):
                shutil.copyfile(self._host(source), mounted / Path(inside).name)
        hba = mounted / "pg_hba.conf"
        text, replaced = _PEER.subn(r"\1trust", hba.read_text())
        assert replaced == 1
        hba.write_text(text)
        if os.geteuid() == 0:
            for path in (self._database, *self._database.rglob("*")):
                shutil.chown(path, _DATABASE_USER, _DATABASE_USER)
        initdb = [str(self.programs / "initdb"), "-D", str(self._database / "data"), "-U", "postgres", "--no-sync"]
        initdb += [f"--pwfile={mounted / 'database_admin_password'}"]
        initdb += service.document["environment"]["POSTGRES_INITDB_ARGS"].split()
        self._as_database_user(initdb)
        shell, option, script, own_name = service.document["entrypoint"]
        started, replacements = re.subn(r"docker-entrypoint\.sh ", "", script)
        assert replacements == 1
        _, *settings = service.document["command"]
        command = [shell, option, started, own_name, str(self.programs / "postgres"), *settings]
        command += ["-D", str(self._database / "data"), "-p", str(self.ports["database"])]
        command += ["-c", "listen_addresses=127.0.0.1", "-c", f"unix_socket_directories={self._database / 'run'}"]
        self._start("database", [self._in_database(part) for part in command], {}, _database_user())
        self.wait_for("database")
        roles = [str(self.programs / "psql"), "-X", "-q", "-h", str(self._database / "run"), "-U", "postgres"]
        roles += ["-p", str(self.ports["database"]), "-d", "postgres", "-f", str(mounted / "roles.sql")]
        self._as_database_user(roles, SECRETS=str(mounted))

    def _in_database(self, text: str) -> str:
        """Translate a path of the database's container, where every mounted file lies in one folder."""
        for inside in sorted(self._services["database"].mounts(), key=len, reverse=True):
            text = text.replace(inside, str(self._database / "mounted" / Path(inside).name))
        return text.replace("/var/run/postgresql", str(self._database / "run"))

    def _as_database_user(self, command: Sequence[str], **variables: str) -> None:
        done = subprocess.run(
            [*_database_user(), *command],
            check=False,
            capture_output=True,
            cwd=self._database,
            env={"PATH": "/usr/bin:/bin", **variables},
        )
        if done.returncode != 0:
            raise TopologyError(f"{command[0]}: {done.stderr.decode()[-2000:]}")

    def _command(self, service: str, name: str | None = None) -> list[str]:
        program, *arguments = self._services[service].document["command"]
        assert program == "lockgate"
        return [*_LOCKGATE, *self._inside(service, arguments, name)]

    def _run_to_end(self, service: str) -> str:
        _, *arguments = self._services[service].document["command"]
        ended = self.run(*arguments, service=service)
        if ended.code != 0:
            raise TopologyError(f"{service}: {ended.err[-2000:]}")
        return ended.out

    def _start(
        self, name: str, command: Sequence[str], variables: Mapping[str, str], prefix: Sequence[str] = ()
    ) -> None:
        # A session of its own: Ctrl-C reaches this process alone, and it stops the others.
        # Ended with this process, however that ends.
        with (self.folder / "logs" / name).open("ab") as log:
            self._processes[name] = subprocess.Popen(
                [*(prefix or ["setpriv", "--pdeathsig=TERM", "--"]), *command],
                cwd=self._database if prefix else self.folder,
                env={"PATH": "/usr/bin:/bin", **variables},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def _inside(self, service: str, arguments: Sequence[str], name: str | None = None) -> list[str]:
        return [self._here(self._services[service], argument, name) for argument in arguments]

    def _here(self, service: ComposeService, text: str, name: str | None) -> str:
        """Translate the paths and addresses of a container into those of this machine."""
        for inside, source in sorted(service.mounts().items(), key=lambda mount: len(mount[0]), reverse=True):
            if inside in text:
                text = text.replace(inside, str(self._file(source)))
        for other, port in _PORTS.items():
            text = text.replace(f"{other}:{port}", f"127.0.0.1:{self.ports[other]}")
        own = name or service.name
        if own in self.ports:
            for host in ("0.0.0.0", "127.0.0.1", "localhost"):  # noqa: S104 - what a container listens on
                text = text.replace(f"{host}:{_PORTS[service.name]}", f"127.0.0.1:{self.ports[own]}")
        return text

    def _file(self, source: str) -> Path:
        """Return what a mount leads to; a URL in a secret names hosts and paths of the containers."""
        if not source.startswith("./"):
            volume = self.folder / "run" / source
            volume.mkdir(mode=0o700, exist_ok=True)
            return volume
        path = self._host(source)
        if path.name.endswith("_url"):
            translated = self.folder / "run" / path.name
            translated.write_text(self.database_url(path.name.split("_")[1]))
            return translated
        return path

    def _host(self, source: str) -> Path:
        inside_site = source.removeprefix(f"{SITE}/")
        return ROOT / source if inside_site == source else self.site / inside_site


def _database_user() -> list[str]:
    user = [f"--reuid={_DATABASE_USER}", f"--regid={_DATABASE_USER}", "--init-groups"] if os.geteuid() == 0 else []
    return ["setpriv", *user, "--pdeathsig=INT", "--"]


def find_programs() -> Path:
    """Return the folder of PostgreSQL's programs.

    Raises:
        TopologyError: There are none.
    """
    command = [str(ROOT / "scripts" / "postgresql"), "find"]
    found = subprocess.run(command, check=False, capture_output=True, text=True)
    if found.returncode != 0:
        raise TopologyError(found.stderr.strip())
    return Path(found.stdout.strip())


@contextmanager
def running_topology(programs: Path, opa: Path) -> Iterator[Topology]:
    """Run the topology in a temporary folder until the block ends.

    Raises:
        TopologyError: A part did not start.
    """
    with tempfile.TemporaryDirectory(prefix="lockgate-topology-", ignore_cleanup_errors=True) as folder:
        topology = Topology(folder=Path(folder), programs=programs, opa=opa)
        try:
            topology.start()
            yield topology
        finally:
            topology.stop()
