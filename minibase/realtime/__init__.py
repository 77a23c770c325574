"""The Realtime dialect: websocket channels that carry table changes streamed from the write-ahead log, and broadcasts.

One direction of flow. A socket message: wire -> protocol -> effects -> socket. A change: pgoutput -> hub (match,
visibility, encode once) -> one bounded outbox per socket. `app.open_realtime` puts the parts together.
"""
