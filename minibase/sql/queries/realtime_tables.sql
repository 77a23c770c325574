-- The tables named by oid, or all that publication supabase_realtime streams, with what realtime must know of each.
select
    class.oid::int8 as oid,
    namespace.nspname as schema,
    class.relname as name,
    class.relrowsecurity as row_security,
    array(
        select attribute.attname
        from pg_index as index
        cross join lateral unnest(index.indkey) with ordinality as part (number, position)
        join pg_attribute as attribute on attribute.attrelid = class.oid and attribute.attnum = part.number
        where index.indrelid = class.oid and index.indisprimary
        order by part.position
    )::text[] as key,
    (
        select coalesce(jsonb_agg(jsonb_build_object(
            'name', attribute.attname,
            'type_name', type.typname,
            'sql_type', format_type(attribute.atttypid, attribute.atttypmod),
            'is_enum', type.typtype = 'e',
            'plain_collation', coalesce(collation_of.collisdeterministic, true)
        ) order by attribute.attnum), '[]')
        from pg_attribute as attribute
        join pg_type as type on type.oid = attribute.atttypid
        left join pg_collation as collation_of on collation_of.oid = attribute.attcollation
        where attribute.attrelid = class.oid and attribute.attnum > 0 and not attribute.attisdropped
    )::text as columns
from pg_class as class
join pg_namespace as namespace on namespace.oid = class.relnamespace
where case
    when $1::int8[] is not null then class.oid::int8 = any ($1)
    else (namespace.nspname, class.relname) in (
        select published.schemaname, published.tablename
        from pg_publication_tables as published
        where published.pubname = 'supabase_realtime'
    )
end;
