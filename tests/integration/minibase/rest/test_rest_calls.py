"""Calling functions, identities, and what the database may say about the response."""

from __future__ import annotations

import json
from typing import Any

import anyio
import httpx
import pytest
from postgrest import APIError

from minibase.postgres.endpoint import Login


async def test_results_of_every_kind(rest: Any) -> None:
    client = rest.client()
    assert (await client.rpc("add", {"a": 1, "b": 2}).execute()).data == 3
    assert (await client.rpc("add", {"a": 1}).execute()).data == 11
    assert (await client.rpc("pair", {}).execute()).data == [{"x": 1, "y": "a"}, {"x": 2, "y": "b"}]
    assert (await client.rpc("numbers", {}).execute()).data == [1, 2, 3]
    assert (await client.rpc("first_author", {}).execute()).data["name"] == "Ada"
    assert (await client.rpc("forget", {}).execute()).data == []
    assert (await client.rpc("echo", {"any": [1, None, {"deep": 1.50}]}).execute()).data == {
        "any": [1, None, {"deep": 1.5}]
    }


async def test_overloads_are_chosen_by_names(rest: Any) -> None:
    client = rest.client()
    assert (await client.rpc("shout", {"words": "hi"}).execute()).data == "HI"
    assert (await client.rpc("shout", {"words": "hi", "times": 2}).execute()).data == "HIHI"
    with pytest.raises(APIError) as error:
        await client.rpc("shuot", {"words": "hi"}).execute()
    assert error.value.code == "PGRST202"
    assert error.value.hint == "Perhaps you meant to call the function public.shout(words)"


async def test_rows_of_a_function_are_shaped_like_a_table(rest: Any) -> None:
    found = (
        await rest.client().rpc("books_of", {"who": 1}).select("title,authors!author_id(name)").order("id").execute()
    )
    assert found.data == [
        {"title": "Engines", "authors": {"name": "Ada"}},
        {"title": "Notes, and more", "authors": {"name": "Ada"}},
    ]


async def test_calls_by_get(rest: Any, http: httpx.AsyncClient) -> None:
    assert (await rest.client().rpc("add", {"a": 5, "b": 6}, get=True).execute()).data == 11
    assert (await http.get("/rpc/total?n=1&n=2&n=3")).json() == 6
    filtered = await http.get("/rpc/books_of?who=1&title=eq.Engines&select=id", headers={"Prefer": "count=exact"})
    assert (filtered.json(), filtered.headers["content-range"]) == ([{"id": 1}], "0-0/1")
    refused = await http.get("/rpc/sneaky")
    assert (refused.status_code, refused.json()["code"]) == (405, "25006")


async def test_a_stable_function_may_not_write_even_by_post(http: httpx.AsyncClient) -> None:
    refused = await http.post("/rpc/sly", json={})
    assert (refused.status_code, refused.json()["code"]) == (405, "25006")


async def test_a_megabyte_of_json_is_fine(rest: Any) -> None:
    big = {"rows": [{"n": number, "text": "x" * 90} for number in range(10_000)]}
    assert len(json.dumps(big)) > 1_000_000
    assert (await rest.client().rpc("echo", big).execute()).data == big


async def test_raised_errors_choose_the_status(http: httpx.AsyncClient) -> None:
    teapot = await http.post("/rpc/refuse_politely")
    assert (teapot.status_code, teapot.json()) == (
        418,
        {"code": "PT418", "message": "I am a teapot", "details": "short", "hint": "stout"},
    )
    full = await http.post("/rpc/refuse_fully")
    assert (full.status_code, full.headers["x-why"], full.json()["code"]) == (332, "because", "MINE")


async def test_settings_dress_the_response(http: httpx.AsyncClient) -> None:
    answer = await http.post("/rpc/dress", headers={"X-Ask": "well"})
    assert (answer.status_code, answer.headers["x-dress"], answer.json()) == (202, "red", "well")


async def test_roles_bring_their_own_time_limit(rest: Any, http: httpx.AsyncClient) -> None:
    who = (await rest.client(rest.user_token()).rpc("whoami", {}).execute()).data
    assert who == {"role": "authenticated", "sub": "00000000-0000-0000-0000-00000000000a", "timeout": "8s"}
    assert (await http.get("/rpc/whoami")).json()["timeout"] == "3s"
    only_here = f"alter role anon in database {rest.endpoint.database} set statement_timeout = '100ms'"
    await rest.sql(f"{only_here}; notify pgrst, 'reload config'", login=Login.ADMIN)
    with anyio.fail_after(10):
        while (await http.get("/rpc/whoami")).json()["timeout"] != "100ms":
            pass
    late = await http.post("/rpc/dawdle")
    assert (late.status_code, late.json()["code"]) == (500, "57014")


async def test_identities(rest: Any, http: httpx.AsyncClient) -> None:
    async def told(authorization: str) -> tuple[int, str]:
        answer = await http.get("/notes", headers={"Authorization": authorization})
        return answer.status_code, answer.json()["code"]

    assert await told("Bearer nonsense") == (401, "PGRST301")
    assert await told(f"Bearer {rest.user_token(exp=1)}") == (401, "PGRST303")
    assert await told(f"Bearer {rest.user_token(role='nobody_here')}") == (401, "22023")
    async with httpx.AsyncClient(base_url=rest.url) as bare:
        assert (await bare.get("/rpc/whoami")).json()["role"] == "anon"
        assert (await bare.get("/secrets")).status_code == 401


async def test_new_tables_are_served_without_a_restart(rest: Any, http: httpx.AsyncClient) -> None:
    assert (await http.get("/fresh")).status_code == 404
    await rest.sql("create table fresh (id int primary key); grant select on fresh to anon")
    with anyio.fail_after(10):
        while (await http.get("/fresh")).status_code == 404:
            pass
    assert (await http.get("/fresh")).json() == []
    await rest.sql("alter table fresh add column extra text default 'x'")
    await rest.sql("insert into fresh values (1)")
    assert (await http.get("/fresh")).json() == [{"id": 1, "extra": "x"}]


async def test_bare_bodies_are_for_single_values(http: httpx.AsyncClient) -> None:
    text = await http.get("/rpc/shout?words=hi", headers={"Accept": "text/plain"})
    assert (text.text, text.headers["content-type"]) == ("HI", "text/plain; charset=utf-8")
    rows = await http.get("/books", headers={"Accept": "text/plain"})
    assert (rows.status_code, rows.json()["code"]) == (406, "PGRST107")
    assert (await http.get("/rpc/numbers?limit=1&offset=1")).json() == [2]


async def test_profiles(http: httpx.AsyncClient) -> None:
    answer = await http.get("/books?id=eq.1&select=id", headers={"Accept-Profile": "public"})
    assert (answer.status_code, answer.headers["content-profile"]) == (200, "public")
    hidden = await http.get("/users", headers={"Accept-Profile": "auth"})
    assert (hidden.status_code, hidden.json()["code"]) == (406, "PGRST106")
