from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest

from orchestrator.config import Config, ConfigError, ProviderName, Retention

URL = "http://127.0.0.1:54321"
KEY = "sb_secret_abcdefghijklmnopqrstuv_12345678"
GOOD = {"SUPABASE_URL": URL, "SUPABASE_SECRET_KEY": KEY}


def load(tmp_path: Path, toml: str = "", **environ: str) -> Config:
    file = tmp_path / "stackbeat.toml"
    file.write_text(toml)
    return Config.load({**GOOD, **environ}, file)


def jwt(role: str) -> str:
    claims = base64.urlsafe_b64encode(json.dumps({"role": role}).encode()).decode().rstrip("=")
    return f"eyJhbGciOiJIUzI1NiJ9.{claims}.c2ln"


def test_defaults_and_sources(tmp_path: Path) -> None:
    config = load(tmp_path, "cadence_s = 3\nslots = 7\n[models.groq]\nsmall = 'x'", STACKBEAT_SLOTS="9")
    assert (config.cadence_s, config.slots, config.models.groq.small) == (3, 9, "x")
    assert config.lease_s == 15
    assert config.service_key.get_secret_value() == KEY


def test_the_legacy_name_of_the_key_wins_and_a_service_jwt_is_taken(tmp_path: Path) -> None:
    token = jwt("service_role")
    assert load(tmp_path, SUPABASE_SERVICE_ROLE_KEY=token).service_key.get_secret_value() == token


@pytest.mark.parametrize(
    ("toml", "environ", "words"),
    [
        ("cadense_s = 3", {}, ["cadense_s", "cadence_s"]),
        ("[models.grok]\nsmall='x'", {}, ["models.grok", "groq"]),
        ("[models.groq]\nsmal='x'", {}, ["models.groq.smal", "small"]),
        ("", {"STACKBEAT_CADENCE": "3"}, ["STACKBEAT_CADENCE", "STACKBEAT_CADENCE_S"]),
        ("slots = 0", {}, ["slots", "0"]),
        ("slots = 'many'", {}, ["slots", "many"]),
        ("x = [", {}, ["not valid TOML"]),
        ("lease_s = 3", {}, ["heartbeat_s", "lease_s"]),
        ("", {"STACKBEAT_PROVIDERS": "groq"}, ["groq", "GROQ_API_KEY"]),
        ("", {"STACKBEAT_PROVIDERS": "simulated, groq", "GROQ_API_KEY": "k"}, ["simulated"]),
        ("", {"STACKBEAT_PROVIDERS": "claude"}, ["claude", "groq, openai or simulated"]),
        ("", {"OPENAI_BASE_URL": "htp://nowhere"}, ["OPENAI_BASE_URL", "htp://nowhere"]),
        ("[models.groq]\nbase_url = 'nowhere'", {}, ["GROQ_BASE_URL", "nowhere"]),
        ("", {"STACKBEAT_SIMULATED_LATENCY": "fast"}, ["models.simulated.latency", "fast"]),
        ("", {"STACKBEAT_SIMULATED_LATENCY": "3-1"}, ["3-1"]),
        ("", {"SUPABASE_URL": "127.0.0.1:54321"}, ["SUPABASE_URL", "127.0.0.1:54321"]),
        ("", {"SUPABASE_URL": "http://h:port"}, ["SUPABASE_URL"]),
        ("", {"SUPABASE_URL": "http://h/rest/v1"}, ["http://h/rest/v1"]),
        ("", {"SUPABASE_URL": ""}, ["SUPABASE_URL"]),
        ("", {"SUPABASE_SECRET_KEY": "sb_publishable_x"}, ["publishable"]),
        ("", {"SUPABASE_SECRET_KEY": "hello"}, ["JWT"]),
        ("", {"SUPABASE_SECRET_KEY": jwt("anon")}, ["anon", "service_role"]),
        ("", {"SUPABASE_SECRET_KEY": ""}, ["SUPABASE_SERVICE_ROLE_KEY"]),
    ],
)
def test_bad_settings_are_one_clear_sentence(
    tmp_path: Path, toml: str, environ: dict[str, str], words: list[str]
) -> None:
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, toml, **environ)
    text = str(caught.value)
    assert "\n" not in text
    assert all(word in text for word in words), text


def test_secrets_never_reach_an_error_text(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, "[models.groq]\napi_key = ['gsk_secret']")
    assert "gsk_secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("environ", "chain"),
    [
        ({}, [ProviderName.SIMULATED]),
        ({"OPENAI_API_KEY": "k"}, [ProviderName.OPENAI]),
        ({"OPENAI_API_KEY": "k", "GROQ_API_KEY": "k"}, [ProviderName.GROQ, ProviderName.OPENAI]),
        ({"OPENAI_API_KEY": "k", "STACKBEAT_PROVIDERS": "simulated"}, [ProviderName.SIMULATED]),
    ],
)
def test_auto_simulates_only_where_no_key_is_set(
    tmp_path: Path, environ: dict[str, str], chain: list[ProviderName]
) -> None:
    assert list(load(tmp_path, **environ).models.chain()) == chain


def test_latency_is_a_range(tmp_path: Path) -> None:
    latency = load(tmp_path, STACKBEAT_SIMULATED_LATENCY="1-3").models.simulated.latency
    assert (latency.low, latency.high) == (1, 3)
    assert load(tmp_path, "[models.simulated]\nlatency = 2").models.simulated.latency.high == 2


def test_the_docs_name_every_limit_of_retention_with_its_default() -> None:
    text = (Path(__file__).parents[3] / "docs" / "growth.md").read_text()
    for name, default in Retention().model_dump().items():
        assert f"`{name}` | {default:g} |" in text
