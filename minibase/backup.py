"""The whole of a project in one file, and back.

The file is a ZIP archive, uncompressed: `database.dump` is an ordinary dump in pg_dump's custom format, which
pg_restore reads; `secrets.json` holds the project's keys, so that clients and signed-in people go on with theirs.
"""

from __future__ import annotations

import os
import subprocess
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import anyio.to_thread

from minibase.config import Config
from minibase.errors import MinibaseError
from minibase.keys import Secrets, SecretsError
from minibase.postgres.binaries import Binaries
from minibase.postgres.bootstrap import bootstrap
from minibase.postgres.database import replace_database
from minibase.postgres.endpoint import Endpoint, Login
from minibase.postgres.session import open_session
from minibase.project import Project

DUMP, SECRETS = "database.dump", "secrets.json"
_CHUNK = 1 << 20


async def back_up(project: Project, endpoint: Endpoint, binaries: Binaries, file: Path) -> None:
    """Write everything as of one moment to `file`, which must not exist yet; others may go on writing meanwhile.

    Raises MinibaseError where the file cannot be written or pg_dump fails; there is no half a file then.
    """
    await anyio.to_thread.run_sync(_dump, project, endpoint, binaries, file)


async def restore(
    project: Project, config: Config, endpoint: Endpoint, binaries: Binaries, file: Path, *, keep_keys: bool
) -> None:
    """Put the contents of `file` in the place of all data; until that is complete, or where it fails, the old stays.

    The project takes over the backup's keys, unless `keep_keys`. Raises MinibaseError: a file that is no backup, one of
    a newer PostgreSQL or minibase, other keys than those a running minibase serves with.
    """
    with _opened(file) as archive:
        own, stored = project.secrets(), _stored_secrets(archive, file)
        taken = replace(own if keep_keys else stored, passwords=own.passwords)  # those belong to the server's roles
        if taken != own and project.runtime() is not None:
            raise MinibaseError(
                f"{file} has other keys than the minibase that runs in {project.workdir}. Stop it and restore again; "
                "or keep its keys with --keep-keys."
            )

        async def fill(fresh: Endpoint) -> None:
            await anyio.to_thread.run_sync(_load, fresh, binaries, archive, file)
            await bootstrap(fresh, auto_expose_new_tables=config.auto_expose_new_tables)
            async with open_session(fresh, Login.ADMIN) as session:
                await session.execute("analyze")

        await replace_database(endpoint, fill)
        if taken != own:
            project.replace_secrets(taken)


def _dump(project: Project, endpoint: Endpoint, binaries: Binaries, file: Path) -> None:
    command = [str(binaries.program("pg_dump")), "--format=custom", "--no-password"]
    with _new_file(file) as partial, zipfile.ZipFile(partial, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr(SECRETS, project.secrets().to_json())
        with (
            archive.open(DUMP, "w", force_zip64=True) as into,
            subprocess.Popen(
                command, env=_login(endpoint), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE
            ) as dumping,
        ):
            assert dumping.stdout is not None
            assert dumping.stderr is not None
            try:
                while chunk := dumping.stdout.read(_CHUNK):
                    into.write(chunk)
            except BaseException:
                dumping.kill()
                raise
            said = dumping.stderr.read().decode(errors="replace").strip()
        if dumping.returncode != 0:
            raise MinibaseError(f"pg_dump ({binaries.source}) could not read the database: {said}")


@contextmanager
def _new_file(file: Path) -> Iterator[Path]:
    """A private file beside the wanted one, which takes its name when all went well."""
    if file.exists():
        raise MinibaseError(f"{file} exists already. Move it away, or choose another name.")
    partial = file.with_name(f".{file.name}.partial")
    try:
        os.close(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600))
        yield partial
        partial.rename(file)
    except OSError as error:
        raise MinibaseError(f"{file} cannot be written: {error.strerror}. Choose another place for it.") from error
    finally:
        partial.unlink(missing_ok=True)


def _opened(file: Path) -> zipfile.ZipFile:
    try:
        archive = zipfile.ZipFile(file)
    except zipfile.BadZipFile:
        pass
    except OSError as error:
        raise MinibaseError(f"{file} cannot be read: {error.strerror}. Name a file of `minibase backup`.") from error
    else:
        if {DUMP, SECRETS} <= set(archive.namelist()):
            return archive
        archive.close()
    raise MinibaseError(f"{file} is no backup, or not all of one. Name a file of `minibase backup`.")


def _stored_secrets(archive: zipfile.ZipFile, file: Path) -> Secrets:
    try:
        return Secrets.from_json(archive.read(SECRETS).decode())
    except (SecretsError, UnicodeDecodeError, zipfile.BadZipFile) as error:
        raise MinibaseError(f"{file} is damaged: {error}") from error


def _load(endpoint: Endpoint, binaries: Binaries, archive: zipfile.ZipFile, file: Path) -> None:
    command = [
        str(binaries.program("pg_restore")), "--dbname", endpoint.database, "--no-password",
        "--single-transaction", "--exit-on-error",
    ]  # fmt: skip
    with (
        archive.open(DUMP) as dump,
        subprocess.Popen(
            command, env=_login(endpoint), stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
        ) as loading,
    ):
        assert loading.stdin is not None
        assert loading.stderr is not None
        try:
            _pour(dump.read, loading.stdin.write)
            loading.stdin.close()
        except BrokenPipeError:
            pass  # it has ended before, and says why
        except zipfile.BadZipFile as error:
            loading.kill()
            raise MinibaseError(f"{file} is damaged: {error}. The data is as before.") from error
        said = loading.stderr.read().decode(errors="replace").strip()
    if loading.returncode != 0:
        raise MinibaseError(
            f"pg_restore {binaries.version} ({binaries.source}) could not restore {file}, and the data is as before. "
            f"It said: {said}"
        )


def _pour(read: Callable[[int], bytes], write: Callable[[bytes], int]) -> None:
    while chunk := read(_CHUNK):
        write(chunk)


def _login(endpoint: Endpoint) -> dict[str, str]:
    """By the environment: arguments can be seen by every user of the machine."""
    return {
        "PATH": os.defpath,
        "LC_ALL": "C",
        "PGHOST": endpoint.host,
        "PGPORT": str(endpoint.port),
        "PGDATABASE": endpoint.database,
        "PGUSER": Login.ADMIN.value,
        "PGPASSWORD": endpoint.passwords[Login.ADMIN],
    }
