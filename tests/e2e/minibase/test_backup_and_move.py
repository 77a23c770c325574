"""A project's data in one file and back, and its way to another Supabase; each refusal leaves everything as it was."""

from __future__ import annotations

import json
import stat
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from project_folder import Folder

pytestmark = pytest.mark.minibase_only("`minibase backup`, `restore` and `move`")

PERSON = {"email": "ada@example.com", "password": "a long password"}


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Folder]:
    """Another project, with the same migrations and no rows of its own."""
    made = Folder(tmp_path_factory.mktemp("other"))
    made.write("seed.sql", "")
    try:
        made.start()
        yield made
    finally:
        made.remove()


def add_person(folder: Folder) -> None:
    values = folder.values()
    key = values["SECRET_KEY"]
    made = httpx.post(
        f"{values['API_URL']}/auth/v1/admin/users",
        headers={"apikey": key},
        json={**PERSON, "email_confirm": True, "app_metadata": {"role": "operator"}},
        timeout=20,
    )
    assert made.status_code in (200, 422), made.text


def sign_in(folder: Folder) -> httpx.Response:
    values = folder.values()
    return httpx.post(
        f"{values['API_URL']}/auth/v1/token?grant_type=password",
        headers={"apikey": values["PUBLISHABLE_KEY"]},
        json=PERSON,
        timeout=20,
    )


def test_a_backup_of_a_running_project_is_restored_in_another_folder_with_its_keys(
    running: Folder, folder: Folder, tmp_path: Path
) -> None:
    add_person(running)
    running.sql("insert into notes values (7, 'kept')")
    file = tmp_path / "backup.zip"
    done = running.run("backup", str(file))
    assert (done.returncode, done.stderr) == (0, "")
    assert str(file) in done.stdout
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []

    restored = folder.run("restore", str(file))
    assert (restored.returncode, restored.stderr) == (0, "")
    folder.start()
    assert folder.sql("select string_agg(text, ',' order by id) from notes") == "seeded,kept"
    mine, theirs = folder.values(), running.values()
    assert {name for name in mine if mine[name] == theirs[name]} >= {"PUBLISHABLE_KEY", "SECRET_KEY", "JWT_SECRET"}
    assert mine["DB_URL"] != theirs["DB_URL"], "passwords belong to the server"
    assert sign_in(folder).json()["user"]["app_metadata"]["role"] == "operator"

    again = running.run("backup", str(file))
    assert again.returncode == 1
    assert again.stderr == f"error: {file} exists already. Move it away, or choose another name.\n"


def test_what_is_no_backup_changes_nothing(running: Folder, other: Folder, tmp_path: Path) -> None:
    running.sql("insert into notes values (8, 'still here') on conflict do nothing")
    nothing = running.run("restore", str(tmp_path / "nowhere"))
    text = tmp_path / "text"
    text.write_text("not a backup")
    no_backup = running.run("restore", str(text))
    foreign = tmp_path / "foreign"
    assert other.run("backup", str(foreign)).returncode == 0
    other_keys = running.run("restore", str(foreign))
    damaged = tmp_path / "damaged"
    content = bytearray(foreign.read_bytes())
    content[len(content) // 2] ^= 0xFF
    damaged.write_bytes(content)
    broken = running.run("restore", "--keep-keys", str(damaged))
    unwritable = running.run("backup", str(tmp_path / "no folder" / "file"))

    for done, sentence in (
        (nothing, "nowhere cannot be read: No such file or directory. Name a file of `minibase backup`."),
        (no_backup, "text is no backup, or not all of one. Name a file of `minibase backup`."),
        (
            other_keys,
            f"other keys than the minibase that runs in {running.workdir}. Stop it and restore again; or keep",
        ),
        (broken, "damaged"),
        (unwritable, "cannot be written: No such file or directory. Choose another place for it."),
    ):
        assert done.returncode == 1, done.stdout
        assert sentence in done.stderr
        assert done.stderr.startswith("error: ")
        assert "Traceback" not in done.stderr
    assert running.sql("select text from notes where id = 8") == "still here"
    assert running.sql("select count(*) from pg_database") == "3"


def test_rows_and_people_move_to_another_supabase_all_or_none(running: Folder, other: Folder) -> None:
    add_person(running)
    running.sql("create table if not exists counted (id bigint generated always as identity, doubled bigint)")
    running.sql("insert into counted (doubled) values (2), (4)")
    target = other.values()["DB_URL"]

    running.write("migrations/3_more.sql", "create table more_of_it ();")
    assert running.run("migrate").returncode == 0
    lacking = running.run("move", "--to", target)
    assert lacking.returncode == 1
    assert "The target has not had migration 3. Apply them there first, with `supabase db push" in lacking.stderr

    other.write("migrations/3_more.sql", "create table more_of_it ();")
    assert other.run("migrate").returncode == 0
    no_table = running.run("move", "--to", target)
    assert no_table.returncode == 1
    assert 'relation "public.counted" does not exist' in no_table.stderr
    other.sql("create table counted (id bigint generated always as identity, doubled bigint)")
    other.sql("insert into notes values (99, 'theirs')")
    occupied = running.run("move", "--to", target)
    assert occupied.returncode == 1
    assert "The target's public.notes has rows of its own, and nothing is ever mixed." in occupied.stderr
    assert other.sql("select count(*) from auth.users") + other.sql("select count(*) from counted") == "00"

    other.sql("delete from notes")
    moved = running.run("move", "--to", target)
    assert (moved.returncode, moved.stderr) == (0, "")
    assert "auth.users: 1\n" in moved.stdout
    for table in ("notes", "counted", "auth.users"):
        rows = f"select json_agg(t order by id)::text from {table} t"
        assert other.sql(rows) == running.sql(rows)
    assert other.sql("insert into counted (doubled) values (6) returning id").splitlines()[0] == "3"
    answer = sign_in(other)
    assert answer.status_code == 200, answer.text
    assert answer.json()["user"]["app_metadata"]["role"] == "operator"
    assert json.loads(sign_in(running).text)["user"]["id"] == answer.json()["user"]["id"]


@pytest.mark.parametrize(
    ("address", "sentence"),
    [
        ("postgresql://postgres:secret@127.0.0.1:9/postgres", "The database at 127.0.0.1:9 cannot be reached"),
        ("127.0.0.1", "--to is no database's address"),
    ],
)
def test_a_target_that_is_none_is_said_without_its_password(running: Folder, address: str, sentence: str) -> None:
    done = running.run("move", "--to", address)
    assert done.returncode == 1
    assert sentence in done.stderr
    assert "secret" not in done.stderr
