{#
  A model as a Delta table: replaced as a whole, or, when it has `partition_by` and a window is set, exactly the
  window's days. The commit names the dbt node and the invocation.
#}
{% materialization delta, adapter='duckdb', supported_languages=['sql'] %}
  {%- set target_relation = this.incorporate(type='view') -%}
  {%- set partition_by = config.get('partition_by') -%}
  {%- set body = compiled_code -%}
  {{ run_hooks(pre_hooks, inside_transaction=False) }}
  {{ run_hooks(pre_hooks, inside_transaction=True) }}

  {%- if config.get('contract').enforced -%}
    {%- do get_assert_columns_equivalent(compiled_code) -%}
    {%- set body = get_select_subquery(compiled_code) -%}
  {%- endif -%}

  {%- if flags.EMPTY -%}
    {# An empty build is for unit tests and must never reach the lake. #}
    {% call statement('main') -%}
      create or replace view {{ target_relation }} as (select * from ({{ body }}) where false)
    {%- endcall %}
  {%- else -%}
    {%- set windowed = partition_by and has_window() and not should_full_refresh() -%}
    {%- if partition_by and not has_window() and not should_full_refresh() and load_cached_relation(this) is not none -%}
      {% do exceptions.raise_compiler_error(
        this ~ ' is partitioned and exists: set AGORA_WINDOW_START and AGORA_WINDOW_END, or use --full-refresh'
      ) %}
    {%- endif -%}
    {%- set out = {} -%}
    {%- do adapter.store_relation('lake', target_relation, [], this.schema ~ '/' ~ this.identifier, 'delta', {
      'table': this.schema ~ '/' ~ this.identifier,
      'sql': body,
      'partition_by': partition_by,
      'start': env_var('AGORA_WINDOW_START') if windowed else '',
      'end': env_var('AGORA_WINDOW_END') if windowed else '',
      'metadata': {'dbt_unique_id': model.unique_id, 'dbt_invocation_id': invocation_id},
      'out': out,
    }) -%}
    {% call statement('publish') -%}
      create or replace view {{ target_relation }} as {{ out.view_sql }}
    {%- endcall %}
    {%- do store_raw_result(
      name='main', message='delta v' ~ out.version ~ ' rows ' ~ out.rows, code='v' ~ out.version, rows_affected=out.rows
    ) -%}
  {%- endif -%}

  {{ run_hooks(post_hooks, inside_transaction=True) }}
  {{ adapter.commit() }}
  {{ run_hooks(post_hooks, inside_transaction=False) }}
  {{ return({'relations': [target_relation]}) }}
{% endmaterialization %}
