{#
  Every run begins without a database: the views that models stand on are made first, so that any selection can run.
#}
{% macro publish_views() %}
  {%- if execute -%}
    {%- for node in graph.nodes.values() if node.resource_type == 'model' and node.config.materialized == 'view' %}
      create schema if not exists {{ node.schema }};
      create or replace view {{ node.schema }}.{{ node.alias }} as {{ render(node.raw_code) }};
    {%- endfor %}
  {%- endif -%}
{% endmacro %}

{# dbt's own would rename a temporary view onto the one that `publish_views` made, which dbt does not know of. #}
{% materialization view, adapter='duckdb', supported_languages=['sql'] %}
  {%- set target_relation = this.incorporate(type='view') -%}
  {% call statement('main') -%}
    create or replace view {{ target_relation }} as {{ compiled_code }}
  {%- endcall %}
  {{ adapter.commit() }}
  {{ return({'relations': [target_relation]}) }}
{% endmaterialization %}
