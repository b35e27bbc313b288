"""Writes the Hugging Face folder of a demo model, what the families have in common."""
import json
import os

import torch

# As the published formats: every message ends alike; content is a text or a list of parts, what a
# tool returned is the role ipython, a call is Python. Tools stand in a line of the system's. START,
# STOP and END are the family's special tokens.
CHAT_TEMPLATE = """{{- bos_token }}
{%- if tools %}
{{- 'STARTsystemSTOP\\n\\nTools: ' }}
{%- for tool in tools %}
{{- tool.function.name + '(' + tool.function.parameters.properties | join(', ') + ')' }}
{{- 'END' if loop.last else ', ' }}
{%- endfor %}
{%- endif %}
{%- for message in messages %}
{%- set role = 'ipython' if message['role'] == 'tool' else message['role'] %}
{{- 'START' + role + 'STOP\\n\\n' }}
{%- if message['content'] is string %}
{{- message['content'] }}
{%- elif message['content'] %}
{%- for part in message['content'] %}
{%- if part['type'] == 'image' %}
{{- '<|image|>' }}
{%- elif part['type'] == 'text' %}
{{- part['text'] }}
{%- endif %}
{%- endfor %}
{%- endif %}
{%- if message.tool_calls %}
{{- '[' }}
{%- for call in message.tool_calls %}
{{- call.function.name + '(' }}
{%- for name, value in call.function.arguments.items() %}
{{- name + '=' + value | tojson + ('' if loop.last else ', ') }}
{%- endfor %}
{{- ')' if loop.last else '), ' }}
{%- endfor %}
{{- ']' }}
{%- endif %}
{{- 'END' }}
{%- endfor %}
{%- if add_generation_prompt %}
{{- 'STARTassistantSTOP\\n\\n' }}
{%- endif %}
"""


def chat_template(tokens):
    """The template with a family's special tokens."""
    text = CHAT_TEMPLATE
    for part in ("start", "stop", "end"):
        text = text.replace(part.upper(), tokens.parts[part])
    return text


def save(model, tokens, place, preprocessor, processor, more=None):
    """Writes a model's float32 weights as bfloat16, its tokenizer and its configurations; `more` is
    what processor_config.json has beside the image processor."""
    os.makedirs(place, exist_ok=True)
    for p in model.parameters():  # not model.to(): that would spoil a tower's table of angles
        p.data = p.data.to(torch.bfloat16)
    model.config.dtype = "bfloat16"
    model.generation_config.do_sample = False
    model.generation_config.bos_token_id = tokens.begin
    model.generation_config.eos_token_id = model.config.text_config.eos_token_id
    model.generation_config.pad_token_id = tokens.pad
    model.save_pretrained(place)
    tokens.tokenizer.save(os.path.join(place, "tokenizer.json"))

    def write(name, content):
        with open(os.path.join(place, name), "w", encoding="utf-8") as f:
            f.write(content if isinstance(content, str) else json.dumps(content, indent=2) + "\n")

    write("chat_template.jinja", chat_template(tokens))
    write("preprocessor_config.json", preprocessor)
    write("processor_config.json", {
        "processor_class": processor, **(more or {}),
        "image_processor": {k: v for k, v in preprocessor.items() if k != "processor_class"}})
    write("tokenizer_config.json", {
        "tokenizer_class": "TokenizersBackend", "backend": "tokenizers",
        "bos_token": tokens.parts["begin"], "eos_token": tokens.parts["end"],
        "pad_token": tokens.parts["pad"], "clean_up_tokenization_spaces": False,
        "model_input_names": ["input_ids", "attention_mask"], "model_max_length": 4096,
        "processor_class": processor})
