-- What decides whether the changes of table $1.$2 are streamed, and the policies that role $3 is asked by.
select
    class.oid::int8 as oid,
    class.relreplident::text as identity,
    published.pubname is not null as published,
    published.rowfilter as row_filter,
    published.attnames::text[] as columns,
    publication.pubinsert as "INSERT",
    publication.pubupdate as "UPDATE",
    publication.pubdelete as "DELETE",
    array(
        select policy.polname
        from pg_policy as policy
        where policy.polrelid = class.oid and policy.polcmd in ('r', '*') and exists (
            select from unnest(policy.polroles) as holder
            where holder = 0 or pg_has_role(role.oid, holder, 'usage')
        )
        order by policy.polname
    )::text[] as policies,
    array(
        select attribute.attname
        from pg_attribute as attribute
        where attribute.attrelid = class.oid and attribute.attnum > 0 and not attribute.attisdropped
        order by attribute.attnum
    )::text[] as all_columns
from pg_class as class
join pg_namespace as namespace on namespace.oid = class.relnamespace
left join pg_roles as role on role.rolname = $3
left join pg_publication_tables as published
    on published.pubname = 'supabase_realtime'
    and (published.schemaname, published.tablename) = (namespace.nspname, class.relname)
left join pg_publication as publication on publication.pubname = published.pubname
where namespace.nspname = $1 and class.relname = $2 and class.relkind in ('r', 'p');
