-- The types named by oid and all types they are made of: elements of arrays, bases of domains, fields of composites.
with recursive needed (oid) as (
    select unnest($1::int8[])
    union
    select part.oid::int8
    from needed
    join pg_type as type on type.oid::int8 = needed.oid
    cross join lateral (
        select type.typelem as oid where type.typcategory = 'A'
        union all
        select type.typbasetype
        union all
        select attribute.atttypid
        from pg_attribute as attribute
        where type.typtype = 'c' and attribute.attrelid = type.typrelid
            and attribute.attnum > 0 and not attribute.attisdropped
    ) as part
    where part.oid <> 0
)
select
    type.oid::int8 as oid,
    type.typname as name,
    case when type.typcategory = 'A' then type.typelem::int8 else 0 end as element,
    type.typbasetype::int8 as base,
    coalesce((select element.typdelim::text from pg_type as element where element.oid = type.typelem), ',') as delimiter,
    type.typtype = 'c' as is_composite,
    array(
        select attribute.attname
        from pg_attribute as attribute
        where type.typtype = 'c' and attribute.attrelid = type.typrelid
            and attribute.attnum > 0 and not attribute.attisdropped
        order by attribute.attnum
    )::text[] as field_names,
    array(
        select attribute.atttypid::int8
        from pg_attribute as attribute
        where type.typtype = 'c' and attribute.attrelid = type.typrelid
            and attribute.attnum > 0 and not attribute.attisdropped
        order by attribute.attnum
    ) as field_types
from pg_type as type
where type.oid::int8 in (select oid from needed);
