-- Functions of the exposed schemas, one entry per overload. $1: schemas as text[].
select coalesce(json_agg(json_build_object(
    'schema', n.nspname,
    'name', p.proname,
    'parameters', (
        select coalesce(json_agg(json_build_object(
            'name', coalesce(a.name, ''),
            'type', pg_catalog.format_type(a.type, null),
            'required', a.place <= p.pronargs - p.pronargdefaults,
            'variadic', a.mode = 'v'
        ) order by a.place), '[]')
        from (
            select args.name, args.type, args.mode, row_number() over (order by args.position) as place
            from unnest(
                coalesce(p.proallargtypes, p.proargtypes::oid[]), p.proargnames, p.proargmodes
            ) with ordinality args (type, name, mode, position)
            where coalesce(args.mode, 'i') in ('i', 'b', 'v')
        ) a
    ),
    'returns', case
        when p.prorettype = 'pg_catalog.void'::regtype then 'void'
        when t.typtype = 'c' or b.typtype = 'c' or p.proargmodes && '{o,b,t}'::"char"[] then 'row'
        else 'scalar' end,
    'returns_set', p.proretset,
    'volatility', case p.provolatile when 'v' then 'volatile' when 's' then 'stable' else 'immutable' end,
    'relation', (
        select json_build_array(rn.nspname, rc.relname)
        from pg_catalog.pg_class rc join pg_catalog.pg_namespace rn on rn.oid = rc.relnamespace
        where rc.oid = t.typrelid and rc.relkind <> 'c'),
    'row_argument', (
        select json_build_array(rn.nspname, rc.relname)
        from pg_catalog.pg_type rt
        join pg_catalog.pg_class rc on rc.oid = rt.typrelid and rc.relkind <> 'c'
        join pg_catalog.pg_namespace rn on rn.oid = rc.relnamespace
        where p.pronargs = 1 and rt.oid = p.proargtypes[0]),
    'expects_one', p.prorows = 1,
    'settings', coalesce(p.proconfig, '{}')
) order by p.oid), '[]')::text
from pg_catalog.pg_proc p
join pg_catalog.pg_namespace n on n.oid = p.pronamespace
join pg_catalog.pg_type t on t.oid = p.prorettype
left join pg_catalog.pg_type b on b.oid = t.typbasetype
where n.nspname = any ($1::text[]) and p.prokind = 'f'
    and p.prorettype not in ('pg_catalog.trigger'::regtype, 'pg_catalog.event_trigger'::regtype)
