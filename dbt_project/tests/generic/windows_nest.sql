{# In each chain of columns, shortest window first, no value is null or negative and a longer window holds the shorter. #}
{% test windows_nest(model, chains) %}
select *
from {{ model }}
where
    {%- for chain in chains %}
    {{ chain[0] }} is null or {{ chain[0] }} < 0
    {%- for column in chain[1:] %}
    or {{ column }} is null or {{ column }} < {{ chain[loop.index0] }}
    {%- endfor %}
    {{ 'or' if not loop.last }}
    {%- endfor %}
{% endtest %}
