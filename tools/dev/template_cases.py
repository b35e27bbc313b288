#!/usr/bin/env python3
"""Records what jinja2 renders, with the settings of the Hugging Face library.

Writes test/data/templates/cases.json: a list of {name, template, input, output | error}. `input`
holds messages, tools, add_generation_prompt, bos_token, eos_token, extra; the time is 1700000000
(UTC). Templates of published checkpoints are not recorded: those here are the project's own, in
the style of the published ones.

Writes test/data/templates/conversations.json: 50 inputs, and for every template file what it makes
of each of them, {output | error}.

  python3 tools/dev/template_cases.py [--compare TEMPLATE.jinja]

With --compare, nothing is written there; the 50 conversations rendered with another template go to
stdout in the same form.
"""
import json
import os
import sys
from datetime import datetime, timezone

import jinja2
from jinja2 import nodes
from jinja2.ext import Extension
from jinja2.sandbox import ImmutableSandboxedEnvironment

NOW = 1700000000


class Generation(Extension):
    tags = {"generation"}

    def parse(self, parser):
        line = next(parser.stream).lineno
        body = parser.parse_statements(["name:endgeneration"], drop_needle=True)
        return nodes.Scope(body, lineno=line)


def environment():
    def raise_exception(message):
        raise jinja2.exceptions.TemplateError(message)

    def tojson(x, ensure_ascii=False, indent=None, separators=None, sort_keys=False):
        return json.dumps(x, ensure_ascii=ensure_ascii, indent=indent, separators=separators,
                          sort_keys=sort_keys)

    def strftime_now(fmt):
        return datetime.fromtimestamp(NOW, timezone.utc).strftime(fmt)

    env = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True,
                                        extensions=[Generation, "jinja2.ext.loopcontrols"])
    env.filters["tojson"] = tojson
    env.globals["raise_exception"] = raise_exception
    env.globals["strftime_now"] = strftime_now
    return env


TALK = [
    {"role": "system", "content": "  Be brief.\n"},
    {"role": "user", "content": "What is 2+2?"},
    {"role": "assistant", "content": "4 "},
    {"role": "user", "content": "Grüße <|im_end|> 你好 \U0001f600"},
]
PARTS = [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": " Describe. "}]}]
TOOLS = [{"type": "function", "function": {
    "name": "get_weather", "description": "The weather \"now\" <at> a place",
    "parameters": {"type": "object", "properties": {
        "city": {"type": "string", "description": "Name\nof the city"},
        "days": {"type": "integer", "minimum": 0.5}}, "required": ["city"]}}}]
CALLS = TALK[:2] + [
    {"role": "assistant", "content": None, "tool_calls": [
        {"function": {"name": "get_weather", "arguments": {"city": "Zürich", "days": 2}}}]},
    {"role": "tool", "content": {"temperature": 21.5, "ok": True, "none": None, "big": 1e22}},
]

CHATML = """{% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}{{ '<|im_start|>system
You are helpful.<|im_end|>
' }}{% endif %}{{'<|im_start|>' + message['role'] + '
' + message['content'] + '<|im_end|>' + '
'}}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant
' }}{% endif %}"""

HEADERS = """{{- bos_token }}
{%- if messages[0]['role'] == 'system' %}
    {%- set system_message = messages[0]['content'] | trim %}
    {%- set messages = messages[1:] %}
{%- else %}
    {%- set system_message = "" %}
{%- endif %}
{%- if custom_tools is defined %}
    {%- set tools = custom_tools %}
{%- endif %}
{%- if not date_string is defined %}
    {%- if strftime_now is defined %}
        {%- set date_string = strftime_now("%d %b %Y") %}
    {%- else %}
        {%- set date_string = "26 Jul 2024" %}
    {%- endif %}
{%- endif %}
{#- The system message -#}
{{- "<|start_header_id|>system<|end_header_id|>\\n\\n" }}
{%- if tools is not none %}
    {{- "Environment: ipython\\n" }}
    {%- for t in tools %}
        {{- t | tojson(indent=4) }}
        {{- "\\n\\n" }}
    {%- endfor %}
{%- endif %}
{{- "Today Date: " + date_string + "\\n\\n" + system_message + "<|eot_id|>" }}
{%- for message in messages %}
    {%- if not (message.role == 'ipython' or message.role == 'tool' or 'tool_calls' in message) %}
        {{- '<|start_header_id|>' + message['role'] + '<|end_header_id|>\\n\\n' }}
        {%- if message['content'] is string %}
            {{- message['content'] | trim + '<|eot_id|>' }}
        {%- else %}
            {%- for part in message['content'] %}
                {%- if part['type'] == 'image' %}
                    {{- '<|image|>' }}
                {%- elif part['type'] == 'text' %}
                    {{- part['text'] | trim }}
                {%- endif %}
            {%- endfor %}
            {{- '<|eot_id|>' }}
        {%- endif %}
    {%- elif 'tool_calls' in message %}
        {%- if not message.tool_calls|length == 1 %}
            {{- raise_exception("This model only supports single tool-calls at once!") }}
        {%- endif %}
        {%- set tool_call = message.tool_calls[0].function %}
        {{- '<|start_header_id|>assistant<|end_header_id|>\\n\\n' -}}
        {{- '{"name": "' + tool_call.name + '", ' }}
        {{- '"parameters": ' }}
        {{- tool_call.arguments | tojson }}
        {{- "}" }}
        {%- for name, value in tool_call.arguments | items %}
            {{- ' ' ~ name ~ '=' ~ value }}{{ "," if not loop.last }}
        {%- endfor %}
        {{- "<|eot_id|>" }}
    {%- elif message.role == "tool" or message.role == "ipython" %}
        {{- "<|start_header_id|>ipython<|end_header_id|>\\n\\n" }}
        {%- if message.content is mapping or message.content is iterable %}
            {{- message.content | tojson }}
        {%- else %}
            {{- message.content }}
        {%- endif %}
        {{- "<|eot_id|>" }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}
{%- endif %}
"""

# Small templates, one feature each; `m` is the list of messages.
SNIPPETS = {
    "whitespace": "a \n  {% if true %}  \n b {%- if true -%} c \n {% endif %} d\n{%+ endif %}\n e {# x #}\n f\n",
    "whitespace2": "{%- for x in [1, 2] -%}\n  {{ x }} \n{% endfor %}\n  {{- 'z' -}}  \n y {%+ set a = 1 +%}\n{{ a }}\n\n",
    "raw": "{% raw %}{{ no }} {% if %}{% endraw %}\n{{ 'yes' }}",
    "loop": "{% for x in 'abc' %}{{ loop.index }}{{ loop.index0 }}{{ loop.revindex }}{{ loop.revindex0 }}{{ loop.first }}{{ loop.last }}{{ loop.length }}{{ loop.previtem }}{{ loop.nextitem }}{{ loop.cycle('x', 'y') }};{% else %}none{% endfor %}{% for x in [] %}{% else %}none{% endfor %}",
    "loop_filter": "{% for x in range(10) if x is odd and x != 5 %}{{ loop.index }}:{{ x }} {% endfor %}",
    "loop_nested": "{% for a in [1,2] %}{% for b in 'xy' %}{{ a }}{{ b }}{{ loop.depth }} {% endfor %}{{ loop.index }}{% endfor %}",
    "break": "{% for x in range(9) %}{% if x == 2 %}{% continue %}{% endif %}{% if x == 5 %}{% break %}{% endif %}{{ x }}{% endfor %}",
    "scope": "{% set x = 1 %}{% for i in [1,2] %}{{ x }}{% set x = x + i %}{{ x }}{% endfor %}{{ x }}{% if true %}{% set x = 9 %}{% endif %}{{ x }}",
    "namespace": "{% set ns = namespace(a=1, b='q') %}{% for i in range(3) %}{% set ns.a = ns.a * 2 %}{% set ns.c = i %}{% endfor %}{{ ns.a }}{{ ns.b }}{{ ns.c }}{{ ns.d }}",
    "set_block": "{% set x %}a{{ 1 + 1 }}\n b{% endset %}[{{ x | upper }}]{% set a, b = 1, 2 %}{{ a }}{{ b }}",
    "macro": "{% macro f(a, b='B', c=none) %}<{{ a }}|{{ b }}|{{ c }}>{% endmacro %}{{ f(1) }}{{ f(1, c=3, b=2) }}{{ f() ~ 'x' }}",
    "numbers": "{{ 7 // 2 }} {{ -7 // 2 }} {{ 7 % 3 }} {{ -7 % 3 }} {{ 7 / 2 }} {{ 2 ** 10 }} {{ 1.0 }} {{ 0.1 + 0.2 }} {{ 1e16 }} {{ 1e-5 }} {{ 1_000 }} {{ 3 * 'ab' }} {{ -3 | abs }} {{ 2 - -2 }} {{ 10 / 5 }} {{ 2 ** -1 }} {{ 1.5 // 1 }}",
    "concat": "{{ 1 ~ 'a' ~ none ~ true ~ 2.50 ~ [1, 'b'] ~ {'k': 'v'} ~ (1,) ~ ('x', 2) }}",
    "repr": "{{ ['a', \"it's\", 'q\"', 'b\\n\\t\\\\', 'é', none, true, 1.5, {'a': [1]}, ()] }}",
    "slices": "{{ 'abcdef'[1:3] }} {{ 'abcdef'[::-1] }} {{ 'abcdef'[-2:] }} {{ [1,2,3,4][::2] }} {{ [1,2,3][:-1] }} {{ 'äöü'[1] }} {{ 'äöü'[-1] }} {{ [1,2][5] }} {{ 'abc'[5:1] }} {{ 'abcdef'[4:1:-1] }}",
    "compare": "{{ 1 < 2 < 3 }} {{ 1 == 1.0 }} {{ 'a' < 'b' }} {{ 'a' in 'cat' }} {{ 'x' not in 'cat' }} {{ 1 in [1,2] }} {{ 'k' in {'k': 1} }} {{ true == 1 }} {{ none == none }} {{ [1,2] == [1,2] }} {{ (1,2) < (1,3) }} {{ not 1 == 2 }} {{ 'a' != 'b' and 1 >= 1 or false }}",
    "logic": "{{ '' or 'x' }} {{ 'a' and 'b' }} {{ 0 and 1 }} {{ not '' }} {{ 'yes' if 1 else 'no' }} {{ 'yes' if 0 }}|{{ 1 if false else 2 if false else 3 }}",
    "precedence": "{{ 1 + 2 * 3 - 4 / 2 }} {{ -2 ** 2 }} {{ 2 ** 3 ** 2 }} {{ 'a' ~ 1 + 2 ~ 'b' }} {{ 'x' ~ 'y' | upper }} {{ -1 | abs }} {{ not true or true }} {{ 5 is odd and 4 is not odd }} {{ [1,2] | length + 1 }}",
    "tests": "{% for x in ['s', 1, 1.5, true, none, [1], {'a': 1}, (1,), nope] %}{{ x is string }}{{ x is number }}{{ x is integer }}{{ x is float }}{{ x is boolean }}{{ x is none }}{{ x is mapping }}{{ x is iterable }}{{ x is sequence }}{{ x is defined }}{{ x is undefined }}{{ x is true }}{{ x is false }};{% endfor %}{{ 4 is even }}{{ 9 is divisibleby 3 }}{{ 9 is divisibleby(2) }}{{ 1 is eq 1 }}{{ 2 is gt(1) }}{{ 1 is in [1] }}{{ 'a' is lower }}{{ 'A' is upper }}{{ 'x' is equalto 'x' }}{{ x is not defined }}",
    "text_filters": "[{{ '  x  ' | trim }}][{{ 'xxaxx' | trim('x') }}]{{ 'héLLo wörld-foo (bar' | title }}|{{ 'ÉCOLE straße' | lower }}|{{ 'école straße ŉ' | upper }}|{{ 'hELLO' | capitalize }}|{{ 'aXbXc' | replace('X', '--') }}|{{ 'aaa' | replace('a', 'b', 2) }}|{{ 5 | string ~ 1 }}|{{ '12' | int + 1 }}|{{ ' 7 ' | int }}|{{ 'x' | int(3) }}|{{ '1.5' | float }}|{{ 3.9 | int }}|{{ '3.9' | int }}|{{ 'abc' | first }}{{ 'abc' | last }}{{ 'äbc' | length }}{{ 'abc' | reverse }}",
    "list_filters": "{{ [3,1,2] | sort }} {{ ['b','A','c'] | sort(reverse=true) }} {{ [1,2,3] | sum }} {{ [1,2,2,1] | unique | list }} {{ [1,2] | first }} {{ [1,2] | last }} {{ [] | first }} {{ [1,2,3] | reverse | list }} {{ [3,1] | min }} {{ [3,1] | max }} {{ 'abc' | list }} {{ {'b': 1, 'a': 2} | dictsort }} {{ [1, none, 'a'] | join('-') }} {{ [1,2] | join }} {{ {'a': 1} | list }} {{ {'a': 1} | items | list }} {{ {'a': 1} | length }}",
    "map_select": "{{ m | map(attribute='role') | join(', ') }} {{ m | selectattr('role', 'equalto', 'user') | map(attribute='content') | list }} {{ m | rejectattr('role', 'eq', 'user') | list | length }} {{ ['a', 'b'] | map('upper') | join }} {{ [1,2,3,4] | select('odd') | list }} {{ [1,2,3,4] | reject('odd') | list }} {{ [0,1,''] | select | list }} {{ m | selectattr('nothing') | list }} {{ m | map(attribute='x', default='-') | join }} {{ ['code', 'x'] | reject('equalto', 'code') | join(', ') }}",
    "default": "{{ nope | default('d') }} {{ '' | default('d') }}| {{ '' | default('d', true) }} {{ none | d('e', boolean=true) }} {{ nope | default }}|{{ m[0].nope | default('f') }}",
    "tojson": "{{ {'a': [1, 2.5, true, none, 'é\"\\n/<'], 'b': {}, 'c': [], 'd': {'e': 1e100}} | tojson }}\n{{ {'a': [1, {'b': []}], 'c': {}} | tojson(indent=2) }}\n{{ {'b': 1, 'a': 'é😀'} | tojson(sort_keys=true, ensure_ascii=true) }}\n{{ [1, 2] | tojson(separators=(',', ':')) }} {{ 'x\\u0007\\u007f' | tojson }}",
    "methods": "[{{ ' x '.strip() }}][{{ ' x '.lstrip() }}][{{ ' x '.rstrip() }}]{{ 'xxaxx'.strip('x') }} {{ 'a,b,c'.split(',') }} {{ 'a,b,c'.split(',', 1) }} {{ ' a  b '.split() }} {{ 'a b c'.split(none, 1) }} {{ 'a,b,c'.rsplit(',', 1) }} {{ 'a\\nb\\r\\nc'.splitlines() }} {{ 'abc'.startswith('ab') }} {{ 'abc'.endswith(('x', 'c')) }} {{ 'abc'.upper() }} {{ 'ABC'.lower() }} {{ \"it's a\".title() }} {{ 'aBC'.capitalize() }} {{ 'aXa'.replace('a', 'b') }} {{ 'aaa'.replace('a', 'b', 1) }} {{ 'ab'.replace('', '-') }} {{ 'äbcb'.find('b') }} {{ 'abcb'.rfind('b') }} {{ 'abc'.find('z') }} {{ 'aXa'.count('a') }} {{ '-'.join(['a', 'b']) }} {{ 'abc'.removeprefix('a') }} {{ 'abc'.removesuffix('c') }}",
    "dict_methods": "{% for k, v in {'a': 1, 'b': 2}.items() %}{{ k }}={{ v }} {% endfor %}{{ {'a': 1}.keys() | list }} {{ {'a': 1}.values() | list }} {{ {'a': 1}.get('a') }} {{ {'a': 1}.get('z') }} {{ {'a': 1}.get('z', 5) }} {{ dict(a=1, b='x') }}",
    "attributes": "{{ m[0].role }} {{ m[0]['role'] }} {{ m[0].nope }} {{ m[-1]['content'][:5] }} {{ m.0.role }} {{ m[99] }} {{ 'abc'.nope }}|{{ m[1].content.split('?')[0] }}",
    "undefined_attr": "{{ nope.x }}",
    "undefined_add": "{{ 'a' + nope }}",
    "add_types": "{{ 'a' + 1 }}",
    "none_iter": "{% for x in none %}{% endfor %}",
    "raise": "{% if m | length > 1 %}{{ raise_exception('Only one message, got ' ~ m | length) }}{% endif %}",
    "zero": "{{ 1 / 0 }}",
    "unpack": "{% for a, b in [(1, 2), [3, 4]] %}{{ a }}{{ b }}{% endfor %}{% for a, b in [(1, 2, 3)] %}{% endfor %}",
    "immutable": "{% set x = [1] %}{{ x + [2] }}{{ x }}",
    "strings": "{{ 'a\\tb\\x41\\u00e9\\'' }}{{ \"d\\\"q\" }}{{ 'one' 'two' }}{{ '{{ }} %}' }}",
    "dicts": "{{ {'a': {'b': [1, {'c': 2}]}}.a.b[1].c }}{{ {1: 'x', 'y': 2}[1] }}{{ {'a': 1, 'a': 2} }}",
    "format": "{{ 'a%sb%%' | format('x') }} {{ '%s/%s' | format(1, none) }} {{ '%d' | format(-3) }} {{ '%s' | format([1, 'a']) }} {{ 'none' | format }} {{ '%s' | format(m[0].content) }} {{ '%s%s' | format(true, 1.5) }}",
    "format_few": "{{ '%s%s' | format('x') }}",
    "format_many": "{{ '%s' | format('x', 'y') }}",
    "format_kind": "{{ '%d' | format('x') }}",
    "format_end": "{{ 'a%' | format('x') }}",
    "letters": "{% for c in 'ab' %}{{ c['type'] }}{{ c.type is defined }}{{ c['type'] == 'image' }}{% endfor %}",
    "undefined_concat": "{% set s = s ~ 'x' %}{{ s ~ 'y' }}{% if nothing > 0 %}{% endif %}",
    "undefined_concat2": "{% set s = s ~ 'x' %}{{ s ~ 'y' }}",
    "set_loop_variable": "{% for x in [1, 2] %}{% set x = x * 2 %}{{ x }}{% if not loop.last %}, {% endif %}{% endfor %}",
    "indent": "{{ 'a\\n\\nb\\n' | indent }}|{{ 'a\\nb' | indent(2, first=true) }}|{{ 'a\\n\\nb' | indent(1, blank=true) }}",
    "time": "{{ strftime_now('%Y-%m-%d %H:%M') }}",
    "generation": "{% for x in m %}{% generation %}{{ x.role }}{% endgeneration %}\n{% endfor %}",
    "comments": "a{# b #}c{#- d -#} e\n  {# f #}\ng",
    "crlf": "a\r\n{% if true %}\r\nb\rc{% endif %}\r\n",
    "inline_if_in_call": "{{ (m | first)['role'] if m else 'none' }}{{ ([1] if false else [2])[0] }}",
    "set_tuple": "{% set x = 1, 2 %}{{ x }}",
    "previtem": "{% for x in m %}{% if loop.previtem is defined and loop.previtem.role == x.role %}same{% else %}new{% endif %}{% endfor %}",
    "alternate": "{% for x in m %}{% if (x['role'] == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('roles must alternate') }}{% endif %}{{ x.role }}{% endfor %}",
}


def render(template, given):
    variables = {"messages": given["messages"], "tools": given.get("tools"), "documents": None,
                 "add_generation_prompt": given.get("add_generation_prompt", True)}
    for token in ("bos_token", "eos_token"):
        if given.get(token):
            variables[token] = given[token]
    variables.update(given.get("extra", {}))
    try:
        return {"output": environment().from_string(template).render(**variables)}
    except Exception as error:  # whatever jinja2 and Python raise is an error for the caller
        return {"error": str(error)}


def conversations():
    """50 inputs: systems, turns, parts, images, tools, calls and results, and odd ones."""
    def user(text):
        return {"role": "user", "content": text}

    def answer(text):
        return {"role": "assistant", "content": text}

    def call(name, arguments, **more):
        return {"role": "assistant", "content": more.get("content", ""), "tool_calls": [
            {"type": "function", "id": "c1", "function": {"name": name, "arguments": arguments}}]}

    def result(content, role="tool"):
        return {"role": role, "content": content}

    def parts(*items, role="user"):
        return {"role": role, "content": [
            {"type": "image"} if item is None else {"type": "text", "text": item} for item in items]}

    system = {"role": "system", "content": "  Answer in verse.\n"}
    texts = ["Hi", " padded \n", "", "Grüße, 你好 \U0001f600 \u200d", "<|eot_id|><|eot|><|im_end|>",
             "{{ 7 * 7 }} {% if x %}", "line\r\nline\ttab", "\u00a0nbsp\u2003", "'\"\\</script>&"]
    two_tools = TOOLS + [{"type": "function", "function": {
        "name": "say", "description": "Says é <b> \u2028", "parameters": {"type": "object", "properties": {}}}}]
    weather = call("get_weather", {"city": "Zürich", "days": 2, "deep": {"a": [1, 2.5, None, True]}})
    search = call("brave_search", {"query": "is it \"raining\"?"})
    made = []

    def add(messages, **given):
        made.append({"messages": messages, "bos_token": "<|begin_of_text|>", **given})

    for text in texts:
        add([user(text)])
    for text in texts[:6]:
        add([system, user("Q"), answer(text), user(text)])
    add([{"role": "system", "content": [{"type": "text", "text": " In parts. "}]}, user("Q")])
    add([parts("One ", " two", "")])
    add([parts(None, "What is this?")])
    add([parts("Compare ", None, " and ", None), parts("They differ.", role="assistant"), user("How?")])
    add([system, parts(None, "With rules?")])
    add([system, parts(None, "With rules?")], extra={"images_with_rules": True})
    add([user("Q"), parts("A", None, role="assistant")], add_generation_prompt=False)
    for tools in (TOOLS, two_tools):
        add([user("Weather?")], tools=tools)
        add([system, user("Weather?")], tools=tools, extra={"shown_in": "user"})
        add([user("Weather?"), weather], tools=tools, add_generation_prompt=False)
        add([user("Weather?"), weather, result({"temp": 21.5, "wind": None})], tools=tools)
        add([user("Weather?"), weather, result("sunny é"), answer("It is sunny."), user("Thanks")],
            tools=tools)
    add([system, parts(" Weather ", "here? ")], tools=TOOLS, extra={"shown_in": "user"})
    add([system], tools=TOOLS, extra={"shown_in": "user"})
    add([system, user("Q")], extra={"custom_tools": two_tools, "day": "1 Jan 2000"})
    add([user("Q")], extra={"custom_tools": []})
    add([user("Q"), search, result([{"hit": 1}], "ipython"), answer("No.")],
        extra={"builtin_tools": ["brave_search", "code_interpreter", "wolfram_alpha"]})
    add([user("Q"), call("code_interpreter", {"code": "print(1)\n"}), result("1\n", "ipython")],
        extra={"builtin_tools": ["code_interpreter"]})
    add([user("Q"), weather, result(21.5)], extra={"builtin_tools": ["code_interpreter"]})
    add([user("Q"), call("f", {}, content="I will call f."), result("")])
    add([user("Q"), {"role": "assistant", "content": "", "tool_calls": []}, user("Well?")])
    add([user("Q"), {"role": "assistant", "content": "Both.", "tool_calls": [
        {"function": {"name": "f", "arguments": {"x": 1, "y": "z"}}},
        {"name": "g", "arguments": {"k": [1, "é"]}}]}, result({"f": 1}), result([{"type": "text", "text": "g"}])])
    add([user("Q"), {"role": "assistant", "content": None, "tool_calls": [{"function": {"name": "f"}}]}])
    add([user("one"), user("two"), answer("three"), answer("four")])
    add([{"role": "critic", "content": "odd role"}, user("Q")])
    add([answer("I start.")], add_generation_prompt=False)
    add([user("Q"), call("f", {}, content=None), result("")])
    add([{"role": "user"}])
    add([user("no first token")], bos_token="")
    add([user("long " * 500), answer("word " * 300)])
    return made


TEMPLATES = {"smollm2": "templates/smollm2.jinja", "tools": "templates/tools.jinja",
             "parts": "templates/parts.jinja", "meta3": "templates/meta3.jinja",
             "meta4": "templates/meta4.jinja", "llama3": "oracles/llama3-text-tied/chat_template.jinja",
             "llama4": "oracles/llama4-text-f32/chat_template.jinja",
             "llama4-demo": "../../models/demo/llama4-demo/chat_template.jinja",
             "llama3.2-vision-demo": "../../models/demo/llama3.2-vision-demo/chat_template.jinja"}


def rendered(path, inputs):
    with open(path, encoding="utf-8", newline="") as file:
        template = file.read()
    return {"file": path, "results": [render(template, given) for given in inputs]}


def record_conversations(folder):
    inputs = conversations()
    assert len(inputs) == 50, len(inputs)
    results = []
    for name in TEMPLATES.values():
        results.append(rendered(os.path.join(folder, name), inputs))
        results[-1]["file"] = name
    write(os.path.join(folder, "templates/conversations.json"),
          {"inputs": inputs, "templates": results})


def write(path, value):
    with open(path, "w", encoding="utf-8") as file:
        json.dump(value, file, ensure_ascii=True, indent=1)
        file.write("\n")


def main():
    cases = []

    def case(name, template, given):
        cases.append({"name": name, "template": template, "input": given,
                      **render(template, given)})

    for name, messages in (("talk", TALK), ("user", TALK[1:2]), ("parts", PARTS)):
        for prompt in (True, False):
            given = {"messages": messages, "add_generation_prompt": prompt,
                     "bos_token": "<|begin_of_text|>"}
            suffix = f"{name}{'_prompt' if prompt else ''}"
            case(f"chatml_{suffix}", CHATML, given)
            case(f"headers_{suffix}", HEADERS, given)
    case("headers_tools", HEADERS, {"messages": TALK, "tools": TOOLS})
    case("headers_custom_tools", HEADERS, {"messages": TALK, "extra": {
        "custom_tools": TOOLS, "date_string": "1 Jan 2000"}})
    case("headers_calls", HEADERS, {"messages": CALLS, "tools": TOOLS})
    two = CALLS[:2] + [{"role": "assistant", "tool_calls": [{}, {}]}]
    case("headers_two_calls", HEADERS, {"messages": two})
    for name, template in SNIPPETS.items():
        case(name, template, {"messages": TALK, "extra": {"m": TALK[1:]}})
    folder = os.path.join(os.path.dirname(__file__), "../../test/data")
    if sys.argv[1:2] == ["--compare"]:
        inputs = conversations()
        json.dump({"inputs": inputs, "templates": [rendered(sys.argv[2], inputs)]}, sys.stdout, indent=1)
        return
    write(os.path.join(folder, "templates/cases.json"), cases)
    record_conversations(folder)


if __name__ == "__main__":
    main()
