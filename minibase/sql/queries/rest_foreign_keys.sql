-- Foreign keys by table number and column numbers; keys that partitions inherit are left to their parent.
select coalesce(json_agg(json_build_object(
    'constraint', k.conname,
    'source', k.conrelid::int8,
    'target', k.confrelid::int8,
    'source_columns', k.conkey,
    'target_columns', k.confkey,
    'unique', exists (
        select from pg_catalog.pg_index i
        where i.indrelid = k.conrelid and i.indisunique and i.indpred is null and i.indexprs is null
            and (i.indkey::int2[])[0:i.indnkeyatts - 1] <@ k.conkey
    )
) order by k.conname), '[]')::text
from pg_catalog.pg_constraint k
where k.contype = 'f' and k.conparentid = 0
