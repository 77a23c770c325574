"""Connection URLs, and what is read from the CLI's config file."""

from __future__ import annotations

from pathlib import Path

import pytest

from minibase.config import Config
from minibase.errors import MinibaseError
from minibase.known_keys import find_unknown
from minibase.postgres.endpoint import Endpoint, Login


def parse(document: dict[str, object], **environment: str) -> Config:
    return Config.parse(document, project_id="folder", source="config.toml", environment=environment)


def test_a_dsn_quotes_what_a_url_cannot_hold() -> None:
    endpoint = Endpoint(host="127.0.0.1", port=5, database="a/b", passwords={"postgres": "p@ss:/"})
    assert endpoint.dsn("postgres") == "postgresql://postgres:p%40ss%3A%2F@127.0.0.1:5/a%2Fb"
    assert "p@ss" not in repr(endpoint)


def test_every_login_has_the_name_clients_know() -> None:
    assert [str(login) for login in Login] == ["supabase_admin", "postgres", "authenticator", "supabase_auth_admin"]


def test_an_absent_file_means_the_defaults_of_the_cli(tmp_path: Path) -> None:
    config = Config.load(tmp_path)
    assert (config.project_id, config.api_port, config.db_port) == (tmp_path.name, 54321, 54322)
    assert config.schemas == ("public", "graphql_public")
    assert config.auto_expose_new_tables


def test_values_come_from_their_sections_and_other_keys_are_left_alone() -> None:
    config = parse(
        {
            "project_id": "p",
            "api": {"port": 1, "max_rows": 7, "tls": {"enabled": False}},
            "auth": {"enable_signup": False, "email": {"enable_confirmations": True}},
            "db": {"seed": {"sql_paths": ["./a.sql", "./b.sql"]}},
            "studio": {"port": 2},
        }
    )
    assert (config.project_id, config.api_port, config.max_rows) == ("p", 1, 7)
    assert (config.enable_signup, config.enable_confirmations) == (False, True)
    assert config.seed_paths == ("./a.sql", "./b.sql")


@pytest.mark.parametrize(
    ("document", "complaint"),
    [
        ({"api": {"port": "54321"}}, "api.port is '54321'"),
        ({"api": {"port": 70000}}, "from 1 to 65535"),
        ({"api": {"port": True}}, "api.port is True"),
        ({"api": {"schemas": "public"}}, "a list of texts"),
        ({"api": 5}, "api is 5, but must be a section"),
        ({"auth": {"enable_signup": "no"}}, "true or false"),
        ({"auth": {"jwt_expiry": 604801}}, "auth.jwt_expiry"),
    ],
)
def test_a_wrong_value_is_named(document: dict[str, object], complaint: str) -> None:
    with pytest.raises(MinibaseError, match=r"config\.toml: ") as refusal:
        parse(document)
    assert complaint in str(refusal.value)


def test_a_value_may_come_from_the_environment() -> None:
    document: dict[str, object] = {"auth": {"site_url": "env(SITE)"}}
    assert parse(document, SITE="http://x").site_url == "http://x"
    with pytest.raises(MinibaseError, match="taken from SITE, which is not set"):
        parse(document)


def test_a_file_that_is_not_toml_is_named(tmp_path: Path) -> None:
    (tmp_path / "supabase").mkdir()
    (tmp_path / "supabase" / "config.toml").write_text("[api\n")
    with pytest.raises(MinibaseError, match="not valid TOML"):
        Config.load(tmp_path)


def test_keys_that_nobody_reads_are_named_with_what_was_meant() -> None:
    document = {
        "api": {"prot": 1, "port": 2, "tls": {"anything": True}},
        "auth": {"email": {"enable_confirmation": True}, "external": {"github": {}}},
        "colour": "red",
    }
    assert find_unknown(document) == (
        "api.prot (is port meant?)",
        "auth.email.enable_confirmation (is enable_confirmations meant?)",
        "colour",
    )


def test_the_project_s_own_file_has_no_such_keys() -> None:
    assert Config.load(Path(__file__).parents[3]).unknown == ()
