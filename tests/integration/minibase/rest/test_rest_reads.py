"""Reading through the official Python client: what everyday code asks, and what comes back."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from postgrest import APIError, CountMethod


async def test_plain_reads_keep_postgres_formatting(rest: Any) -> None:
    client = rest.client()
    found = await client.from_("books").select("id, title, price, added").eq("id", 2).execute()
    assert found.data == [{"id": 2, "title": "Notes, and more", "price": 1.10, "added": "2026-01-02T03:04:05+00:00"}]
    raw = await client.from_("books").select("price::text").eq("id", 2).single().execute()
    assert raw.data == {"price": "1.10"}


async def test_renames_casts_and_json_paths(rest: Any) -> None:
    found = await (
        rest.client()
        .from_("authors")
        .select("who:name, id::text, data->home->>city, lang:data->langs->0, tags->0")
        .eq("id", 1)
        .execute()
    )
    assert found.data == [{"who": "Ada", "id": "1", "city": "London", "lang": "en", "tags": "math"}]


FILTERS: list[tuple[str, Any, list[int]]] = [
    ("eq", lambda q: q.eq("title", "Engines"), [1]),
    ("neq", lambda q: q.neq("id", 1), [2, 3]),
    ("gt, lte", lambda q: q.gt("id", 1).lte("id", 2), [2]),
    ("like", lambda q: q.like("title", "%es%"), [1, 2]),
    ("ilike", lambda q: q.ilike("title", "*GARD*"), [3]),
    ("like any", lambda q: q.like_any_of("title", "Eng%,Gar%"), [1, 3]),
    ("is null", lambda q: q.is_("editor_id", "null"), [2]),
    ("not is null", lambda q: q.not_.is_("editor_id", "null"), [1, 3]),
    ("in", lambda q: q.in_("title", ["Engines", "Notes, and more"]), [1, 2]),
    ("not in", lambda q: q.not_.in_("id", [1, 2]), [3]),
    ("or", lambda q: q.or_("id.eq.1,and(id.gt.2,title.like.G*)"), [1, 3]),
    ("match", lambda q: q.match({"id": 1, "title": "Engines"}), [1]),
    ("fts", lambda q: q.fts("search", "engine"), [1]),
    ("wfts on text", lambda q: q.filter("title", "wfts(english)", "garden or engine"), [1, 3]),
    ("range overlaps", lambda q: q.ov("pages", "[55,56]"), [1, 3]),
    ("range adjacent", lambda q: q.filter("pages", "adj", "[100,200]"), [1]),
    ("eq null finds nothing", lambda q: q.eq("title", None), []),
    ("isdistinct", lambda q: q.filter("editor_id", "isdistinct", "2"), [2, 3]),
    ("eq(any)", lambda q: q.filter("id", "eq(any)", "{1,3}"), [1, 3]),
]


async def test_filters(rest: Any) -> None:
    client = rest.client()
    for name, apply, ids in FILTERS:
        found = await apply(client.from_("books").select("id")).order("id").execute()
        assert [row["id"] for row in found.data] == ids, name


async def test_filters_on_json_arrays_and_enums(rest: Any) -> None:
    authors = rest.client().from_("authors")
    for apply, ids in (
        (lambda q: q.eq("data->home->>city", "Paris"), [2]),
        (lambda q: q.contains("data", {"home": {"city": "London"}}), [1]),
        (lambda q: q.contains("tags", ["a,b"]), [1]),
        (lambda q: q.contained_by("tags", ["math", "x"]), [2, 3]),
        (lambda q: q.overlaps("tags", ["math"]), [1, 3]),
        (lambda q: q.eq("mood", "cross"), [2]),
        (lambda q: q.in_("mood", ["calm", "cross"]), [1, 2]),
        (lambda q: q.eq("loud_name", "CY"), [3]),
    ):
        found = await apply(authors.select("id")).order("id").execute()
        assert [row["id"] for row in found.data] == ids


async def test_order_limit_and_range(rest: Any) -> None:
    client = rest.client()
    found = await client.from_("books").select("id").order("editor_id", desc=True, nullsfirst=True).execute()
    assert [row["id"] for row in found.data] == [2, 1, 3]
    found = await client.from_("books").select("id").order("id").range(1, 1).execute()
    assert found.data == [{"id": 2}]
    found = await client.from_("authors").select("id").order("data->home->>city", desc=True, nullsfirst=False).execute()
    assert [row["id"] for row in found.data] == [2, 1, 3]


async def test_counts(rest: Any, http: httpx.AsyncClient) -> None:
    client = rest.client()
    found = await client.from_("books").select("id", count=CountMethod.exact).limit(1).execute()
    assert (found.count, len(found.data)) == (3, 1)
    head = await client.from_("books").select("*", count=CountMethod.exact, head=True).gt("id", 1).execute()
    assert head.count == 2
    for mode in (CountMethod.planned, CountMethod.estimated):
        assert isinstance((await client.from_("books").select("id", count=mode).eq("id", 1).execute()).count, int)
    answer = await http.get("/books?select=id&order=id", headers={"Prefer": "count=exact", "Range": "1-1"})
    assert (answer.status_code, answer.headers["content-range"], answer.json()) == (206, "1-1/3", [{"id": 2}])
    beyond = await http.get("/books?offset=9", headers={"Prefer": "count=exact"})
    assert (beyond.status_code, beyond.json()["code"]) == (416, "PGRST103")
    empty = await http.get("/books?id=eq.0", headers={"Prefer": "count=exact"})
    assert (empty.status_code, empty.headers["content-range"]) == (200, "*/0")


async def test_single_and_maybe_single(rest: Any) -> None:
    books = rest.client().from_("books")
    assert (await books.select("title").eq("id", 3).single().execute()).data == {"title": "Gardens"}
    with pytest.raises(APIError) as error:
        await books.select("title").single().execute()
    assert (error.value.code, error.value.details) == ("PGRST116", "The result contains 3 rows")
    assert await books.select("title").eq("id", 0).maybe_single().execute() is None


async def test_embeds(rest: Any) -> None:
    client = rest.client()
    found = await (
        client.from_("authors")
        .select("name, written:books!author_id(title, isbns(code), shelves(label)), boss:boss_id(name)")
        .in_("id", [1, 2])
        .order("id")
        .order("id", foreign_table="written")
        .order("label", foreign_table="written.shelves")
        .execute()
    )
    assert found.data == [
        {
            "name": "Ada",
            "written": [
                {"title": "Engines", "isbns": {"code": "x-1"}, "shelves": [{"label": "low"}, {"label": "top"}]},
                {"title": "Notes, and more", "isbns": None, "shelves": []},
            ],
            "boss": None,
        },
        {
            "name": "Bob",
            "written": [{"title": "Gardens", "isbns": None, "shelves": [{"label": "low"}]}],
            "boss": {"name": "Ada"},
        },
    ]


async def test_embeds_narrow_and_drop_parents(rest: Any) -> None:
    client = rest.client()
    left = await client.from_("authors").select("id, books!author_id(id)").gt("books.id", 2).order("id").execute()
    assert [len(row["books"]) for row in left.data] == [0, 1, 0]
    inner = await client.from_("authors").select("id, books!author_id!inner(id)").gt("books.id", 2).execute()
    assert inner.data == [{"id": 2, "books": [{"id": 3}]}]
    none = await client.from_("authors").select("id, books!author_id()").is_("books", "null").execute()
    assert none.data == [{"id": 3}]
    limited = (
        await client.from_("authors")
        .select("id, books!author_id(id)")
        .eq("id", 1)
        .limit(1, foreign_table="books")
        .execute()
    )
    assert [len(row["books"]) for row in limited.data] == [1]
    tallied = await client.from_("authors").select("name, books!author_id(count)").eq("id", 1).execute()
    assert tallied.data == [{"name": "Ada", "books": [{"count": 2}]}]
    counted = await client.from_("authors").select("id, books!author_id!inner(id)", count=CountMethod.exact).execute()
    assert counted.count == 2


async def test_spreads_views_self_references_and_computed_relations(rest: Any) -> None:
    client = rest.client()
    spread = await client.from_("books").select("id, ...authors!author_id(author:name)").eq("id", 1).execute()
    assert spread.data == [{"id": 1, "author": "Ada"}]
    gathered = await client.from_("authors").select("name, ...books!author_id(title)").eq("id", 2).execute()
    assert gathered.data == [{"name": "Bob", "title": ["Gardens"]}]
    view = await client.from_("library").select("title, authors(name)").eq("book", 3).execute()
    assert view.data == [{"title": "Gardens", "authors": {"name": "Bob"}}]
    staff = await client.from_("authors").select("name, staff:authors!boss_id(name)").eq("id", 1).execute()
    assert staff.data == [{"name": "Ada", "staff": [{"name": "Bob"}, {"name": "Cy"}]}]
    computed = await client.from_("books").select("id, shelf_labels(label)").eq("id", 3).execute()
    assert computed.data == [{"id": 3, "shelf_labels": [{"label": "low"}]}]
    ordered = (
        await client.from_("books").select("id, authors!author_id(name)").order("authors(name)", desc=True).execute()
    )
    assert ordered.data[0]["id"] == 3


async def test_csv_and_stripped_nulls(rest: Any, http: httpx.AsyncClient) -> None:
    csv = await rest.client().from_("shelves").select("id, label").order("id").csv().execute()
    assert csv.data == "id,label\n1,top\n2,low"
    stripped = await http.get(
        "/books?select=id,editor_id&id=eq.2", headers={"Accept": "application/vnd.pgrst.array+json;nulls=stripped"}
    )
    assert stripped.json() == [{"id": 2}]
    assert stripped.headers["content-type"].startswith("application/vnd.pgrst.array+json;nulls=stripped")


REFUSALS = [
    ("/boks", 404, "PGRST205"),
    ("/books?nope=eq.1", 400, "42703"),
    ("/books?id=eq.x", 400, "22P02"),
    ("/books?id=bad", 400, "PGRST100"),
    ("/books?select=shelf(x)", 400, "PGRST200"),
    ("/books?select=authors(name)", 300, "PGRST201"),
    ("/books?authors.id=eq.1", 400, "PGRST108"),
    ("/books?select=id,isbns()&isbns=eq.1", 400, "PGRST120"),
    ("/books?select=price.sum()", 400, "PGRST123"),
    ("/authors?select=id,books!author_id(id)&order=books(id)", 400, "PGRST118"),
    ("/books?limit=-1", 416, "PGRST103"),
    ("/a/b/c", 404, "PGRST125"),
    ("/books?title=eq.%00", 400, "22021"),
    ("/secrets", 401, "42501"),
]


async def test_refusals(http: httpx.AsyncClient) -> None:
    for path, status, code in REFUSALS:
        answer = await http.get(path)
        assert (path, answer.status_code, answer.json()["code"]) == (path, status, code)
        assert answer.json().keys() == {"code", "message", "details", "hint"}
        assert answer.headers["proxy-status"] == f"PostgREST; error={code}"
