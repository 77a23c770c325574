"""The wheel in an empty environment and an empty folder: what somebody has who never saw the repository."""

from __future__ import annotations

import email
import json
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from processes import clean_environment, eventually, read_start

from orchestrator.cli.embedded import discard_data

ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.minibase_only("an empty folder and no settings")

LATER = "20991231000000_later.sql"


@dataclass(frozen=True, kw_only=True)
class Installed:
    """An environment with the wheel and what it depends on, and nothing of this checkout."""

    folder: Path

    def command(self, name: str, *arguments: str) -> list[str]:
        return [str(self.folder / "bin" / name), *arguments]

    def run(self, workdir: Path, name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.command(name, *arguments),
            cwd=workdir,
            env=environment(),
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            timeout=60,
        )

    @property
    def data(self) -> Path:
        (found,) = self.folder.glob("lib/python*/site-packages/orchestrator/data")
        return found


def environment() -> dict[str, str]:
    """Nothing that leads back to the checkout."""
    found = clean_environment({"STACKBEAT_SIMULATED_LATENCY": "0"})
    return {name: value for name, value in found.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}


def build(kind: str, source: Path, out: Path) -> Path:
    done = subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", kind, "-d", str(out)],
        cwd=source,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    (made,) = out.iterdir()
    return made


def uv(*arguments: str | Path) -> None:
    """The program that the set-up installs with: it has every package of the lock in its cache already."""
    done = subprocess.run(
        [Path(sys.executable).with_name("uv"), "pip", *arguments], capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build("wheel", ROOT, tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Installed:
    folder = tmp_path_factory.mktemp("installed") / "env"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True, timeout=60)
    python = folder / "bin" / "python"
    uv("sync", "--python", python, "--require-hashes", ROOT / "requirements" / "run.txt")
    uv("install", "--python", python, "--no-deps", "--offline", wheel)
    uv("check", "--python", python)
    return Installed(folder=folder)


@pytest.fixture
def workdir(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "empty folder"
    folder.mkdir()
    yield folder
    discard_data(folder)


def start(installed: Installed, workdir: Path) -> subprocess.Popen[str]:
    ports = [part for name in ("--port", "--db-port", "--web-port") for part in (name, "auto")]
    with (workdir / "up.log").open("w") as log:
        return subprocess.Popen(
            installed.command("stackbeat", "up", "--json", *ports),
            cwd=workdir,
            env=environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            start_new_session=True,
        )


def stop(installed: Installed, workdir: Path, process: subprocess.Popen[str]) -> None:
    installed.run(workdir, "stackbeat", "down")
    if process.poll() is None:
        process.kill()
    process.wait(10)
    assert process.stdout is not None
    process.stdout.close()


def ask(installed: Installed, workdir: Path, *arguments: str) -> Any:
    done = installed.run(workdir, "stackbeat", *arguments, "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_everything_lies_inside_our_own_packages(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        metadata = email.message_from_bytes(archive.read(next(name for name in names if name.endswith("/METADATA"))))
    tops = {name.partition("/")[0] for name in names}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"agents", "orchestrator", "minibase"}
    inside = "orchestrator/data/supabase/"
    carried = {name.removeprefix(inside) for name in names if name.startswith(inside)}
    migrations = {f"migrations/{file.name}" for file in (ROOT / "supabase" / "migrations").glob("*.sql")}
    assert carried == migrations | {"config.toml", "seed.sql"}
    assert any(need.startswith("supabase==") for need in metadata.get_all("Requires-Dist", []))
    if (ROOT / "dashboard" / "dist" / "index.html").exists():  # scripts/test builds it, a lone pytest may not have
        assert "orchestrator/data/dashboard/index.html" in names


def test_an_empty_folder_becomes_a_project_and_keeps_up_with_its_package(installed: Installed, workdir: Path) -> None:
    process = start(installed, workdir)
    try:
        started = read_start(process, workdir)
        said = (workdir / "up.log").read_text()
        assert f"made {workdir}/supabase: settings, migrations and demo stacks of Stackbeat" in said
        assert "applying migration" in said
        assert started["simulated"] is True
        playing = started["played"][0]
        eventually(lambda: ask(installed, workdir, "show", playing)["traces"], within=30, what="the first trace")
        page = httpx.get(started["dashboard_url"], timeout=20)
        assert page.status_code == (200 if (installed.data / "dashboard" / "index.html").exists() else 503)
    finally:
        stop(installed, workdir, process)
    files = {file.relative_to(ROOT / "supabase") for file in (ROOT / "supabase").rglob("*.sql")}
    assert {file.relative_to(workdir / "supabase") for file in (workdir / "supabase").rglob("*.sql")} == files

    (workdir / "supabase" / "seed.sql").write_text("-- mine\n")
    newer = installed.data / "supabase" / "migrations" / LATER
    newer.write_text("create table public.later (id int primary key);")
    process = start(installed, workdir)
    try:
        again = read_start(process, workdir)
        said = (workdir / "up.log").read_text()
        tables = installed.run(workdir, "minibase", "psql", "-XAtc", "select count(*) from public.later")
    finally:
        newer.unlink()
        stop(installed, workdir, process)
    assert f"added migrations/{LATER}, which Stackbeat" in said
    assert f"applying migration {LATER}" in said
    assert (tables.returncode, tables.stdout) == (0, "0\n")
    assert again["api_url"] == started["api_url"]
    assert (workdir / "supabase" / "seed.sql").read_text() == "-- mine\n", "what is there is its owner's"


def test_a_wheel_made_from_the_sdist_is_the_same(wheel: Path, tmp_path: Path) -> None:
    with tarfile.open(build("sdist", ROOT, tmp_path / "sdist")) as archive:
        # Python 3.11 knows filters from its fourth release on.
        archive.extractall(tmp_path / "source", **({"filter": "data"} if hasattr(tarfile, "data_filter") else {}))
    (source,) = (tmp_path / "source").iterdir()
    again = build("wheel", source, tmp_path / "again")
    with zipfile.ZipFile(wheel) as first, zipfile.ZipFile(again) as second:
        contents = [{name: each.read(name) for name in each.namelist()} for each in (first, second)]
    assert contents[0] == contents[1]
    assert wheel.name == again.name
