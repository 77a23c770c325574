-- Parse trees of views, from which the origin of their columns is read. $1: schemas as text[].
select coalesce(json_agg(json_build_object('view', c.oid::int8, 'tree', r.ev_action::text)), '[]')::text
from pg_catalog.pg_class c
join pg_catalog.pg_namespace n on n.oid = c.relnamespace
join pg_catalog.pg_rewrite r on r.ev_class = c.oid and r.ev_type = '1' and r.is_instead
where c.relkind in ('v', 'm') and n.nspname <> 'information_schema' and n.nspname <> 'pg_catalog'
    and (n.nspname = any ($1::text[]) or exists (
        select from pg_catalog.pg_depend d join pg_catalog.pg_rewrite o on o.oid = d.objid
        where d.refobjid = c.oid and d.classid = 'pg_catalog.pg_rewrite'::regclass and o.ev_class <> c.oid))
