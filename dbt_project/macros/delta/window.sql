{#
  The days [start, end) that a run stands for. They come from the environment, read only while executing: changed
  `--vars` would make dbt parse the whole project again.

  A run without days stands for those of the mart that the model reads: `payments`, or what the model names.
#}
{% macro has_window() %}
  {{ return(execute and env_var('AGORA_WINDOW_START', '') != '') }}
{% endmacro %}

{% macro window_start(mart='payments') -%}
  {%- if has_window() -%}
    date '{{ env_var("AGORA_WINDOW_START") }}'
  {%- else -%}
    (select coalesce(min(arrival_date), date '1970-01-01') from {{ ref(mart) }})
  {%- endif -%}
{%- endmacro %}

{% macro window_end(mart='payments') -%}
  {%- if has_window() -%}
    date '{{ env_var("AGORA_WINDOW_END") }}'
  {%- else -%}
    (select coalesce(max(arrival_date), date '1970-01-01') + 1 from {{ ref(mart) }})
  {%- endif -%}
{%- endmacro %}

{# Condition: the day belongs to this run; true when the run is about all days. #}
{% macro in_window(column) -%}
  {%- if has_window() -%}
    {{ column }} >= date '{{ env_var("AGORA_WINDOW_START") }}' and {{ column }} < date '{{ env_var("AGORA_WINDOW_END") }}'
  {%- else -%}
    true
  {%- endif -%}
{%- endmacro %}

{# Data tests of partitioned models look at the run's days only: `where: "<column> in __window__"`. #}
{% macro get_where_subquery(relation) -%}
  {%- set where = config.get('where') or '' -%}
  {%- if ' in __window__' in where -%}
    {%- set where = in_window(where.replace(' in __window__', '')) -%}
  {%- endif -%}
  {%- if where -%}
    {{ return('(select * from ' ~ relation ~ ' where ' ~ where ~ ') as windowed') }}
  {%- endif -%}
  {{ return(relation) }}
{%- endmacro %}

{% macro generate_schema_name(custom_schema_name, node) -%}
  {{ custom_schema_name or target.schema }}
{%- endmacro %}
