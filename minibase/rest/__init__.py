"""The PostgREST dialect: one HTTP request becomes one SQL statement.

A request is refined value by value, in one direction, each stage a folder or a file:

    request    URL, headers and body become frozen values                 pure
    plan       names are resolved against a snapshot of the catalogue     pure
    query      the plan becomes one SQL statement and its parameters      pure
    database   the statement runs in a transaction as the caller's role   I/O
    response   the row Postgres answers becomes status, headers and body  pure

Postgres renders the JSON; no value of a row is ever decoded here.
"""
