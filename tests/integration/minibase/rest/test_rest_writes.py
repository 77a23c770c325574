"""Writing through the official Python client."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from postgrest import APIError, ReturnMethod
from postgrest.types import CountMethod


async def test_insert_one_many_and_none(rest: Any) -> None:
    shelves = rest.client().from_("shelves")
    assert (await shelves.insert({"id": 3, "label": "new"}).execute()).data == [{"id": 3, "label": "new"}]
    many = await shelves.insert([{"id": 4, "label": "a"}, {"label": "b", "id": 5}], count=CountMethod.exact).execute()
    assert (many.count, [row["id"] for row in many.data]) == (2, [4, 5])
    assert (await shelves.insert([]).execute()).data == []
    silent = await shelves.insert({"id": 6, "label": "c"}, returning=ReturnMethod.minimal).execute()
    assert silent.data == []


async def test_insert_uses_defaults_and_keeps_numbers(rest: Any) -> None:
    client = rest.client()
    made = await client.from_("books").insert({"title": "T", "price": 12345.67}).execute()
    assert (made.data[0]["id"], made.data[0]["price"]) == (4, 12345.67)
    rows = [{"name": "X", "tags": ["q"]}, {"name": "Y", "data": {"a": [1]}}]
    kept = await client.from_("authors").insert(rows, default_to_null=False).execute()
    assert [(row["tags"], row["data"]) for row in kept.data] == [(["q"], {}), ([], {"a": [1]})]
    with pytest.raises(APIError) as error:
        await client.from_("authors").insert([{"name": "Z", "tags": []}, {"name": "W"}]).execute()
    assert error.value.code == "23502"


async def test_upsert_merges_and_ignores(rest: Any, http: httpx.AsyncClient) -> None:
    client = rest.client()
    merged = await client.from_("shelves").upsert([{"id": 1, "label": "one"}, {"id": 9, "label": "nine"}]).execute()
    assert merged.data == [{"id": 1, "label": "one"}, {"id": 9, "label": "nine"}]
    ignored = await client.from_("shelves").upsert({"id": 1, "label": "no"}, ignore_duplicates=True).execute()
    assert ignored.data == []
    by_name = await client.from_("authors").upsert({"name": "Ada", "mood": "cross"}, on_conflict="name").execute()
    assert (by_name.data[0]["id"], by_name.data[0]["mood"]) == (1, "cross")
    prefer = {"Prefer": "resolution=merge-duplicates"}
    assert (await http.post("/shelves", json={"id": 1, "label": "a"}, headers=prefer)).status_code == 200
    assert (await http.post("/shelves", json={"id": 77, "label": "a"}, headers=prefer)).status_code == 201


async def test_update_and_delete(rest: Any, http: httpx.AsyncClient) -> None:
    client = rest.client()
    changed = await client.from_("books").update({"title": "New"}, count=CountMethod.exact).eq("id", 1).execute()
    assert (changed.data[0]["title"], changed.count) == ("New", 1)
    assert (await client.from_("books").update({"title": "x"}).eq("id", 0).execute()).data == []
    assert (await client.from_("books").update({}).eq("id", 1).execute()).data == []
    gone = await client.from_("books").delete().in_("id", [1, 2]).execute()
    assert sorted(row["id"] for row in gone.data) == [1, 2]
    silent = await http.patch("/books?id=eq.3", json={"price": 5})
    assert (silent.status_code, silent.content, silent.headers["content-range"]) == (204, b"", "0-0/*")
    assert (await http.delete("/books?id=eq.3")).status_code == 204


async def test_representations_are_shaped_by_select(rest: Any, http: httpx.AsyncClient) -> None:
    answer = await http.post(
        "/books?select=name:title,authors!author_id(name),shelves(label)",
        json={"title": "Shaped", "author_id": 2},
        headers={"Prefer": "return=representation", "Accept": "application/vnd.pgrst.object+json"},
    )
    assert (answer.status_code, answer.json()) == (201, {"name": "Shaped", "authors": {"name": "Bob"}, "shelves": []})
    assert answer.headers["preference-applied"] == "return=representation"
    located = await http.post("/shelves", json={"id": 40, "label": "x"}, headers={"Prefer": "return=headers-only"})
    assert (located.status_code, located.headers["location"]) == (201, "/shelves?id=eq.40")


async def test_a_change_without_a_filter_is_refused(rest: Any, http: httpx.AsyncClient) -> None:
    for answer in (await http.delete("/books"), await http.patch("/books", json={"title": "all"})):
        assert (answer.status_code, answer.json()["code"]) == (400, "21000")
        assert answer.json()["message"].endswith("requires a WHERE clause")
    assert len((await http.get("/books?title=neq.all")).json()) == 3


async def test_failed_expectations_roll_back(http: httpx.AsyncClient) -> None:
    single = {"Accept": "application/vnd.pgrst.object+json", "Prefer": "return=representation"}
    answer = await http.patch("/books?id=gt.1", json={"title": "x"}, headers=single)
    assert (answer.status_code, answer.json()["code"]) == (406, "PGRST116")
    limited = {"Prefer": "handling=strict, max-affected=1"}
    answer = await http.delete("/books?id=gt.1", headers=limited)
    assert (answer.status_code, answer.json()["code"]) == (400, "PGRST124")
    assert len((await http.get("/books?title=neq.x")).json()) == 3


async def test_put_makes_or_replaces_one_row(http: httpx.AsyncClient) -> None:
    made = await http.put("/shelves?id=eq.50", json={"id": 50, "label": "a"})
    again = await http.put("/shelves?id=eq.50", json={"id": 50, "label": "b"})
    assert (made.status_code, again.status_code) == (201, 204)
    assert (await http.put("/shelves?id=eq.50", json={"id": 51, "label": "b"})).json()["code"] == "PGRST115"
    assert (await http.put("/shelves?label=eq.a", json={"id": 51, "label": "b"})).json()["code"] == "PGRST105"


async def test_row_level_security_decides_by_the_token(rest: Any) -> None:
    mine = rest.client(rest.user_token())
    assert [row["id"] for row in (await mine.from_("notes").select("id").execute()).data] == [1]
    assert (await rest.client().from_("notes").select("id").execute()).data == []
    everything = rest.client(rest.secrets.service_role_key)
    assert len((await everything.from_("notes").select("id").execute()).data) == 2
    row = {"id": 3, "owner": "00000000-0000-0000-0000-00000000000b", "body": "theirs"}
    with pytest.raises(APIError) as error:
        await mine.from_("notes").insert(row).execute()
    assert error.value.code == "42501"


async def test_refused_bodies(http: httpx.AsyncClient) -> None:
    for body, status, code in (
        (b"{", 400, "PGRST102"),
        (b'[{"id":1},{"label":"x"}]', 400, "PGRST102"),
        (b'{"nope":1}', 400, "PGRST204"),
        (b"7", 400, "PGRST102"),
        (b'{"id":1,"label":"dup"}', 409, "23505"),
        (b'{"id":"x","label":"dup"}', 400, "22P02"),
    ):
        answer = await http.post("/shelves", content=body, headers={"Content-Type": "application/json"})
        assert (body, answer.status_code, answer.json()["code"]) == (body, status, code)


async def test_csv_and_forms_are_read(http: httpx.AsyncClient) -> None:
    csv = await http.post("/shelves", content=b"id,label\n60,a\n61,b\n", headers={"Content-Type": "text/csv"})
    form = await http.post("/shelves", data={"id": "62", "label": "c d"})
    assert (csv.status_code, form.status_code) == (201, 201)
    assert (await http.get("/shelves?id=gte.60&select=label&order=id")).json() == [
        {"label": "a"},
        {"label": "b"},
        {"label": "c d"},
    ]
