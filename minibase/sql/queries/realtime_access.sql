-- What a role that the API may become can see of some tables: columns, whether policies decide row by row, and how long a query may take.
select
    class.oid::int8 as oid,
    case when has_schema_privilege(role.oid, class.relnamespace, 'usage') then array(
        select attribute.attname
        from pg_attribute as attribute
        where attribute.attrelid = class.oid and attribute.attnum > 0 and not attribute.attisdropped
            and has_column_privilege(role.oid, class.oid, attribute.attnum, 'select')
    ) else '{}' end::text[] as selectable,
    case
        when not class.relrowsecurity or role.rolsuper or role.rolbypassrls then 'all'
        when pg_has_role(role.oid, class.relowner, 'usage') and not class.relforcerowsecurity then 'all'
        when not policy.any_permissive then 'none'
        when policy.one_admits_all and not policy.any_restriction then 'all'
        else 'ask'
    end as rows,
    coalesce(
        (select substr(setting, 19) from unnest(role.rolconfig) as setting where setting like 'statement\_timeout=%'),
        (
            select substr(setting, 19)
            from pg_roles as login, unnest(login.rolconfig) as setting
            where login.rolname = 'authenticator' and setting like 'statement\_timeout=%'
        ),
        '8s'
    ) as time_limit
from pg_roles as role
cross join pg_class as class
cross join lateral (
    select
        coalesce(bool_or(polpermissive), false) as any_permissive,
        coalesce(bool_or(polpermissive and pg_get_expr(polqual, polrelid) = 'true'), false) as one_admits_all,
        coalesce(bool_or(not polpermissive and pg_get_expr(polqual, polrelid) is distinct from 'true'), false)
            as any_restriction
    from pg_policy
    where polrelid = class.oid and polcmd in ('r', '*') and exists (
        select from unnest(polroles) as holder
        where holder = 0 or pg_has_role(role.oid, holder, 'usage')
    )
) as policy
where role.rolname = $1 and pg_has_role('authenticator', role.oid, 'member') and class.oid::int8 = any ($2);
