-- Keep a user's row ($1) so that references to it stand, and forget everything that says who it was.
with forgotten as (
    update auth.users set
        email = 'deleted-' || id, encrypted_password = '', phone = null, raw_app_meta_data = '{}', raw_user_meta_data = '{}',
        deleted_at = now(), updated_at = now()
    where id = $1 and deleted_at is null
    returning id
),

unlinked as (delete from auth.identities where user_id in (select id from forgotten)),

signed_out as (delete from auth.sessions where user_id in (select id from forgotten))

select id from forgotten
