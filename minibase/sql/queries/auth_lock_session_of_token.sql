-- Take the session a refresh token ($1) belongs to, so that concurrent refreshes of it happen one after the other.
select
    s.id, s.user_id, coalesce(s.not_after <= now(), false) as is_over,
    (
        select
            jsonb_agg(
                jsonb_build_object(
                    'method', a.authentication_method, 'timestamp', floor(extract(epoch from a.updated_at))::bigint
                )
                order by a.updated_at desc
            )
        from auth.mfa_amr_claims as a where a.session_id = s.id
    ) as amr
from auth.sessions as s
where s.id = (select t.session_id from auth.refresh_tokens as t where t.token = $1)
for update of s
