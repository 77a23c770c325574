-- What ALTER ROLE ... SET gives the roles a request can take on. Nobody logs in as them, so it must be applied by hand.
-- Only settings any user may change, for the request's login role is no superuser. What is set for one database comes
-- last and so wins.
select coalesce(json_object_agg(r.rolname, r.settings), '{}')::text
from (
    select r.rolname, json_object_agg(
        split_part(c, '=', 1), substr(c, strpos(c, '=') + 1) order by s.setdatabase) as settings
    from pg_catalog.pg_roles r
    join pg_catalog.pg_db_role_setting s on s.setrole = r.oid
        and s.setdatabase in (0, (select oid from pg_catalog.pg_database where datname = current_database()))
    cross join unnest(s.setconfig) c
    join pg_catalog.pg_settings g on g.name = split_part(c, '=', 1) and g.context = 'user'
    where pg_catalog.pg_has_role(current_user, r.oid, 'member') and r.rolname <> current_user
        and g.name not in ('role', 'search_path')
    group by r.rolname
) r
