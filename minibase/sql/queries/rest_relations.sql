-- Tables and views of the exposed schemas with columns, defaults and primary key. $1: schemas as text[].
with recursive bases (oid, base) as (
    select t.oid, case when t.typtype = 'd' then t.typbasetype else t.oid end from pg_catalog.pg_type t
), settled (oid, base) as (
    select oid, base from bases
    union
    select s.oid, b.base from settled s join bases b on b.oid = s.base where b.base <> s.base
)
select coalesce(json_agg(json_build_object(
    'oid', c.oid::int8,
    'schema', n.nspname,
    'name', c.relname,
    'columns', (
        select coalesce(json_agg(json_build_object(
            'number', a.attnum,
            'name', a.attname,
            'type', pg_catalog.format_type(a.atttypid, a.atttypmod),
            'base', pg_catalog.format_type((
                select s.base from settled s join pg_catalog.pg_type t on t.oid = s.base
                where s.oid = a.atttypid and t.typtype <> 'd' limit 1), null),
            'default', case
                when a.attgenerated <> '' then null
                when a.attidentity <> '' then pg_catalog.format('nextval(%L::regclass)',
                    pg_catalog.pg_get_serial_sequence(pg_catalog.format('%I.%I', n.nspname, c.relname), a.attname))
                else pg_catalog.pg_get_expr(d.adbin, d.adrelid) end
        ) order by a.attnum), '[]')
        from pg_catalog.pg_attribute a
        left join pg_catalog.pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum
        where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
    ),
    'primary_key', (
        select coalesce(json_agg(a.attname order by k.place), '[]')
        from pg_catalog.pg_constraint p
        cross join unnest(p.conkey) with ordinality k (attnum, place)
        join pg_catalog.pg_attribute a on a.attrelid = p.conrelid and a.attnum = k.attnum
        where p.conrelid = c.oid and p.contype = 'p'
    )
)), '[]')::text
from pg_catalog.pg_class c
join pg_catalog.pg_namespace n on n.oid = c.relnamespace
where n.nspname = any ($1::text[]) and c.relkind in ('r', 'v', 'm', 'f', 'p')
