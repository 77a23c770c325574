-- The presented refresh token ($2) of a session ($1) and the session's active one; read after the session is locked.
select t.token, t.parent, t.revoked, extract(epoch from clock_timestamp() - t.updated_at)::float8 as age
from auth.refresh_tokens as t
where t.session_id = $1 and (t.token = $2 or not t.revoked)
order by t.id desc
