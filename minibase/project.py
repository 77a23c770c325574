"""A project folder and what minibase keeps about it: secrets, ports, who runs it now, where the data is.

Everything lies in `.minibase/` beside `supabase/`, closed to other users (0700, files 0600). One exception: root cannot
run PostgreSQL itself, and the account that does it for root cannot enter that folder; then data and, where needed, a
copy of the programs live in a folder of their own under /var/lib/stackbeat, and `.minibase/data-folder` names it.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import secrets as randomness
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from minibase.errors import BusyError, MinibaseError
from minibase.keys import Secrets, SecretsError
from minibase.postgres.account import Account, pick_account

STATE_FOLDER = ".minibase"
SYSTEM_DATA = Path("/var/lib/stackbeat")


class AlreadyRunningError(BusyError):
    """Another process holds this project's lock."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Runtime:
    """What a running minibase tells other commands about itself; written when it answers."""

    pid: int
    api_port: int
    db_port: int
    postgres_version: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DataHome:
    """Where the data folders are, and as whom PostgreSQL runs there (None: as this process)."""

    folder: Path
    account: Account | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Project:
    """One folder that holds `supabase/`, and its state folder, which exists."""

    workdir: Path

    @property
    def state(self) -> Path:
        return self.workdir / STATE_FOLDER

    @property
    def migrations(self) -> Path:
        return self.workdir / "supabase" / "migrations"

    @property
    def postgres_log(self) -> Path:
        return self.state / "postgres.log"

    @property
    def own_log(self) -> Path:
        return self.state / "minibase.log"

    @staticmethod
    def open(workdir: Path) -> Project:
        """The project in `workdir`, its state folder made where it is missing.

        Raises MinibaseError where there is no `supabase/`, or where the state folder is another user's.
        """
        workdir = workdir.resolve()
        if not (workdir / "supabase").is_dir():
            raise MinibaseError(
                f"{workdir} holds no supabase folder. Go to the folder that does, or name it with --workdir."
            )
        project = Project(workdir=workdir)
        try:
            project.state.mkdir(mode=0o700, exist_ok=True)
            status = project.state.stat()
            if os.geteuid() in (0, status.st_uid):
                project.state.chmod(0o700)
                if not (project.state / ".gitignore").exists():
                    project._write(".gitignore", "*\n")
        except OSError as error:
            raise MinibaseError(f"{project.state} cannot be used: {error.strerror}. Make it writable.") from error
        if not os.access(project.state, os.R_OK | os.W_OK | os.X_OK):
            raise MinibaseError(
                f"{project.state} belongs to another user (id {status.st_uid}), who started minibase here before. "
                "Run the command as that user, or give the folder to this one."
            )
        return project

    # -- who runs --------------------------------------------------------------------------------------------------

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Be the one process that runs this project. Raises AlreadyRunningError, saying who does and where."""
        descriptor = self._open_lock()
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise AlreadyRunningError(self._describe_holder()) from error
            (self.state / "runtime.json").unlink(missing_ok=True)  # of one that was killed
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, str(os.getpid()).encode(), 0)
            try:
                yield
            finally:
                (self.state / "runtime.json").unlink(missing_ok=True)
                os.ftruncate(descriptor, 0)
        finally:
            os.close(descriptor)

    def holder(self) -> int | None:
        """The pid of the process that holds the lock; it may still be starting. None where nothing runs."""
        descriptor = self._open_lock()
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            text = os.read(descriptor, 32).decode()
            return int(text) if text else None
        finally:
            os.close(descriptor)
        return None

    def runtime(self) -> Runtime | None:
        """The minibase that answers right now, or None."""
        if self.holder() is None:
            return None
        try:
            return Runtime(**json.loads((self.state / "runtime.json").read_text(encoding="utf-8")))
        except FileNotFoundError:
            return None

    def publish(self, runtime: Runtime) -> None:
        """Tell other commands that this process answers; the end of the lock takes it back."""
        self._write("runtime.json", json.dumps(asdict(runtime)) + "\n")

    def _open_lock(self) -> int:
        path = self.state / "lock"
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        self._give_to_owner(descriptor)
        return descriptor

    def _describe_holder(self) -> str:
        runtime = self.runtime()
        if runtime is None:
            return f"Another minibase (pid {self.holder()}) is starting or stopping in {self.workdir}. Try again soon."
        return (
            f"minibase already runs in {self.workdir}: API http://127.0.0.1:{runtime.api_port}, database on port "
            f"{runtime.db_port}, pid {runtime.pid}. Use it, or end it with `minibase stop`."
        )

    # -- what is kept ----------------------------------------------------------------------------------------------

    def secrets(self) -> Secrets:
        """This project's secrets, made at the first call ever. Raises MinibaseError where the file is damaged."""
        file = self.state / "secrets.json"
        try:
            return Secrets.from_json(file.read_text(encoding="utf-8"))
        except FileNotFoundError:
            made = Secrets.generate()
            self._write(file.name, made.to_json())
            return made
        except SecretsError as error:
            raise MinibaseError(f"{file}: {error}") from error

    def replace_secrets(self, secrets: Secrets) -> None:
        """Take over the keys of a backup. The passwords must be those of this project's own data."""
        self._write("secrets.json", secrets.to_json())

    def remembered_port(self, purpose: str) -> int | None:
        """The port that `auto` chose before."""
        port = self._ports().get(purpose)
        return port if isinstance(port, int) else None

    def remember_port(self, purpose: str, port: int) -> None:
        self._write("ports.json", json.dumps({**self._ports(), purpose: port}) + "\n")

    def _ports(self) -> dict[str, object]:
        try:
            ports = json.loads((self.state / "ports.json").read_text(encoding="utf-8"))
        except (FileNotFoundError, json.JSONDecodeError):
            return {}
        return ports if isinstance(ports, dict) else {}

    def log_descriptor(self, path: Path) -> int:
        """Open a log for appending, private; one that has grown large first becomes `<name>.1`."""
        if path.exists() and path.stat().st_size > _LOG_LIMIT:
            path.replace(path.with_name(f"{path.name}.1"))
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW, 0o600)
        self._give_to_owner(descriptor)
        return descriptor

    def data_home(self) -> DataHome:
        """Where the data belongs for whoever this process is, made where it is missing.

        Raises MinibaseError where the data was made by root and this is not root, or belongs to a copied folder.
        """
        pointer = self.state / "data-folder"
        if pointer.exists():
            return self._follow(Path(pointer.read_text(encoding="utf-8").strip()))
        account = pick_account(owner=self.state.stat().st_uid)
        if account is None or account.can_enter(self.state):
            return DataHome(folder=self.state, account=account)
        folder = self._make_system_folder()
        self._write(pointer.name, f"{folder}\n")
        return DataHome(folder=folder, account=account)

    def _make_system_folder(self) -> Path:
        label = re.sub(r"[^A-Za-z0-9]+", "-", self.workdir.name).strip("-")[:32] or "project"
        folder = SYSTEM_DATA / f"{label}-{randomness.token_hex(4)}"
        try:
            SYSTEM_DATA.mkdir(mode=0o711, exist_ok=True)
            folder.mkdir(mode=0o711)
            # mkdir's mode is cut by the umask, and the account must pass through both.
            SYSTEM_DATA.chmod(0o711)
            folder.chmod(0o711)
        except OSError as error:
            raise MinibaseError(
                f"{folder} cannot be made ({error.strerror}); run by root, the data lives there, because PostgreSQL "
                "does not run as root. Make it writable, or start minibase as an ordinary user."
            ) from error
        (folder / "project").write_text(f"{self.workdir}\n", encoding="utf-8")
        return folder

    def _follow(self, folder: Path) -> DataHome:
        if os.geteuid() != 0:
            raise MinibaseError(
                f"This project's data is in {folder}, made when root started it. Start it as root; or remove "
                f"{self.state} to begin anew as this user."
            )
        if not folder.is_dir():
            raise MinibaseError(
                f"{self.state}/data-folder names {folder}, which does not exist. Restore it from a backup; or remove "
                f"{self.state} to begin anew."
            )
        record = folder / "project"
        original = Path(record.read_text(encoding="utf-8").strip())
        if original != self.workdir:
            claim = original / STATE_FOLDER / "data-folder"
            if claim.exists() and claim.read_text(encoding="utf-8").strip() == str(folder):
                raise MinibaseError(
                    f"{self.workdir} is a copy of {original}, and the data in {folder} belongs to that one. "
                    f"Remove {self.state} to give the copy data of its own."
                )
            record.write_text(f"{self.workdir}\n", encoding="utf-8")
        owners = [data.stat().st_uid for data in sorted(folder.glob("postgres-*")) if data.is_dir()]
        return DataHome(folder=folder, account=pick_account(owner=owners[0] if owners else None))

    def _write(self, name: str, text: str) -> None:
        """Replace a private file as a whole, so that nobody ever reads half of it."""
        descriptor, temporary = tempfile.mkstemp(dir=self.state, prefix=f".{name}.")
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                file.write(text)
                file.flush()
                os.fsync(descriptor)
                self._give_to_owner(descriptor)
            Path(temporary).replace(self.state / name)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise

    def _give_to_owner(self, descriptor: int) -> None:
        """What root writes into somebody else's state folder stays theirs."""
        if os.geteuid() == 0:
            owner = self.state.stat()
            os.fchown(descriptor, owner.st_uid, owner.st_gid)


_LOG_LIMIT = 5_000_000
