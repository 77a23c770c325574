-- One page of users, oldest first ($1 rows after $2), each with their identities.
select
    to_jsonb(u) as "user",
    coalesce((select jsonb_agg(to_jsonb(i) order by i.created_at) from auth.identities as i where i.user_id = u.id), '[]') as identities
from auth.users as u
order by u.created_at, u.id
limit $1 offset $2
