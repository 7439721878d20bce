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
