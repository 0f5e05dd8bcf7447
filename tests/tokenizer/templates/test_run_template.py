"""Templates run within limits, see no Python object, and render as Jinja2 does in transformers."""

from typing import Any

import pytest

from chatwright.tokenizer.templates import run_template as limits
from chatwright.tokenizer.templates.derive import NotExpressible
from chatwright.tokenizer.templates.read_template import read_template
from chatwright.tokenizer.templates.run_template import Job, TemplateFailed, run_template

MESSAGES = [{"role": "user", "content": "Hi!"}]
LOOP = "{% for m in messages %}{{ m.content }}{% endfor %}"
# Each must end in a refusal: by its fuel, by the memory limit, by the parser, or since it writes
# nothing of the conversation.
HOSTILE = {
    "nested loops": "{% for a in range(10000) %}" * 6 + "x" + "{% endfor %}" * 6,
    "doubling": "{% set ns = namespace(x='ab') %}{% for i in range(60) %}"
    "{% set ns.x = ns.x ~ ns.x %}{% endfor %}{{ ns.x }}",
    "one gigabyte": "{{ 'a' * 1000000000 }}" + LOOP,
    "wide indent": "{{ 'a\nb' | indent(1000000000) }}" + LOOP,
    "wide list": "{% set x = range(100000) | list %}{% set y = x * 100000 %}{{ y }}" + LOOP,
    "long output": "{% for a in range(9000) %}{{ 'abcdefghij' * 100 }}{% endfor %}" + LOOP,
    "recursion": "{% macro f(n) %}{{ f(n + 1) }}{% endmacro %}{{ f(0) }}" + LOOP,
    "deep expression": "{{ " + "(" * 50_000 + "1" + ")" * 50_000 + " }}" + LOOP,
    "deep list": "{{ " + "[" * 50_000 + "]" * 50_000 + " }}" + LOOP,
    "deep blocks": "{% if true %}" * 20_000 + "x" + "{% endif %}" * 20_000 + LOOP,
    "too long": "x" * (limits.MAX_TEMPLATE + 1),
    "not a template": "{% for %}",
    "a file": "{% include '/etc/passwd' %}" + LOOP,
    "a module": "{% import 'os' as os %}{{ os.listdir() }}" + LOOP,
    "a class": "{{ ''.__class__.__mro__[1].__subclasses__() }}" + LOOP,
    "globals": "{{ raise_exception.__globals__['sys'].exit(0) }}" + LOOP,
    "a method's globals": "{{ messages.append.__self__.__class__() }}" + LOOP,
    "an own exception": "{{ raise_exception('no') }}",
    "nothing": "",
    "all in one": "{{ messages }}",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_template_ends_in_a_refusal(name: str) -> None:
    with pytest.raises(NotExpressible):
        read_template(HOSTILE[name], {}, "2026-11-29")


def test_the_limit_on_time_ends_a_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MAX_SECONDS", 0.0)
    with pytest.raises(TemplateFailed):
        run_template(LOOP, [Job(MESSAGES)] * 2000)


def test_the_limit_on_memory_ends_a_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """The parent's limit, which also holds where the system has none for a process."""
    monkeypatch.setattr(limits, "MAX_BYTES", 1)
    with pytest.raises(TemplateFailed):
        run_template(LOOP, [Job(MESSAGES)] * 20_000)


@pytest.mark.parametrize(
    "expression",
    [
        "messages.__class__",
        "messages[0].__class__",
        "messages[0].content.__class__",
        "raise_exception.__globals__",
        "raise_exception.__code__",
        "strftime_now.__closure__",
        "namespace.__init__",
        "self.__init__",
        "cycler.__init__",
        "joiner.__init__",
        "lipsum.__globals__",
        "bos_token.__class__",
        "tools.__class__",
    ],
)
def test_no_attribute_of_python_is_reached(expression: str) -> None:
    [outcome] = run_template(
        "<{{ " + expression + " }}>", [Job(MESSAGES, {"bos_token": "<s>", "tools": None})]
    )
    assert outcome.text in ("<>", "")


def test_the_methods_of_python_lists_and_dictionaries_are_not_there() -> None:
    for expression in ("messages.append(1)", "messages[0].update({})", "messages[0].pop('role')"):
        [outcome] = run_template("{{ " + expression + " }}", [Job(MESSAGES)])
        assert outcome.error


def reference(template: str, messages: list[dict[str, str]], **variables: Any) -> str:
    from transformers.utils.chat_template_utils import render_jinja_template

    return render_jinja_template(conversations=[messages], chat_template=template, **variables)[0][
        0
    ]


@pytest.mark.parametrize(
    "template",
    [
        "{% for m in messages %}\n  {% if m.role == 'user' %}\n{{ m.content }}\n  {% endif %}\n"
        "{% endfor %}\n",
        "{%- for m in messages -%}\n{{ m.content }}\n{%- endfor -%}\n\n",
        "  {# note #}\n{% set x = 'a\\nb' %}\n{{ x }}\n",
        "{{ messages | tojson }}",
        "{{ messages[0] | tojson(indent=2) }}",
        "{{ '<&>' | tojson }} {{ '<&>' }}",
        "{% for m in messages %}{{ m.content.strip() }}|{{ m.content.lstrip() }}|"
        "{{ m.content.rstrip('!') }}|{{ m['content'] | trim }}{% endfor %}",
        "{{ messages[-1]['content'].split('i')[0] }}{{ messages[1:] | length }}",
        "{{ messages[0].get('content') }}{{ messages[0].get('none') }}",
        "{{ messages[0].missing }}|{{ missing }}|{{ missing is defined }}",
        "{% for k, v in messages[0].items() %}{{ k }}={{ v }};{% endfor %}",
        "{% for m in messages[::-1] %}{{ m.role }}{% endfor %}",
        "{% for m in messages %}{% if m.role == 'system' %}{% continue %}{% endif %}{{ m.role }}"
        "{% break %}{% endfor %}",
        "{% set ns = namespace(n=0) %}{% for m in messages %}{% set ns.n = ns.n + 1 %}{% endfor %}"
        "{{ ns.n }}",
        "{{ messages | selectattr('role', 'equalto', 'user') | list | length }}",
        "{{ messages | map(attribute='role') | join(',') }}",
        "{% for m in messages %}{{ loop.index0 }}{{ loop.first }}{{ loop.last }}{% endfor %}",
        "{{ 'assistant'.title() }}{{ 'assistant' | capitalize }}{{ 'a' | upper }}",
        "{{ true }}{{ 1 == 1 }}{{ 3 // 2 }}{{ 7 % 4 }}{{ 2 ** 3 }}{{ 1.5 }}",
        "{{ 'a' ~ 1 }}{{ 'ab' * 2 }}{{ 'abc'[1] }}{{ 'abc'[:2] }}",
        "{% macro f(x) %}[{{ x }}{{ bos_token }}]{% endmacro %}{{ f('a') }}",
        "{{ 'x' if messages else 'y' }}{{ 'content' in messages[0] }}",
        "{% generation %}{{ messages[0].content }}{% endgeneration %}",
        "a\n{%- generation -%}\n b {%- endgeneration -%}\n c",
        "{{ '\\u00e9\\\\boxed{}' }}{{ \"it's\" }}",
        "{{ 'a' is string }}{{ messages is iterable }}{{ messages[0] is mapping }}",
        "{{ tools is none }}{{ tools is not none }}{{ documents }}",
        "{%- if messages[0]['role'] == 'user' %}\n    {{- 'x' }}\n{%- endif %}\ny",
    ],
)
def test_a_template_renders_as_in_transformers(template: str) -> None:
    messages = [
        {"role": "user", "content": " Hi! <b> \u4e2d 'q' \"d\" {{ x }} %}\n"},
        {"role": "assistant", "content": "Hello"},
    ]
    variables = {"bos_token": "<s>", "tools": None, "documents": None}
    [outcome] = run_template(template, [Job(messages, variables)])
    assert outcome.error == ""
    assert outcome.text == reference(template, messages, bos_token="<s>")
