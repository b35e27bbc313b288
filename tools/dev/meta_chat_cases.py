#!/usr/bin/env python3
"""Records the ids that Meta's own chat formatters give to conversations.

Writes test/data/templates/meta_chat.json: {"llama3": [{messages, tool_prompt_format, ids}], ...}.
Needs the PyPI packages llama-models, pydantic, tiktoken and pillow; torch, of which the formatters
want the names alone, is stood in for. Images are recorded for Llama 3 (one id each there).

Meta encodes every part of a message by itself, a template's text is one text: no part here begins or
ends where the two would differ (a line break after the header, a word cut by two parts, two calls
in one message).

  python3 tools/dev/meta_chat_cases.py
"""
import io
import json
import os
import sys
import types

for stub in ("torch", "torchvision", "torchvision.transforms", "torchvision.transforms.v2"):
    sys.modules[stub] = types.ModuleType(stub)
sys.modules["torch"].Tensor = object
sys.modules["llama_models.llama4.preprocess"] = types.ModuleType("preprocess")
for name in ("ResizeNormalizeImageTransform", "VariableSizeImageTransform"):
    setattr(sys.modules["llama_models.llama4.preprocess"], name, object)

from llama_models import datatypes as data
from llama_models.llama3 import chat_format as format3
from llama_models.llama3.tokenizer import Tokenizer as Tokenizer3
from llama_models.llama4 import chat_format as format4
from llama_models.llama4.tokenizer import Tokenizer as Tokenizer4
from PIL import Image


def picture():
    file = io.BytesIO()
    Image.new("RGB", (8, 8)).save(file, "PNG")
    return file.getvalue()


def content_of(content):
    if isinstance(content, str):
        return content
    return [data.RawMediaItem(data=picture()) if part["type"] == "image"
            else data.RawTextItem(text=part["text"]) for part in content]


def message_of(message):
    more = {}
    if message["role"] == "user" and "context" in message:
        more["context"] = message["context"]
    if message["role"] == "assistant":
        more["stop_reason"] = data.StopReason(message["stop_reason"])
        more["tool_calls"] = [data.ToolCall(call_id="1", tool_name=call["name"],
                                            arguments=call["arguments"])
                              for call in message.get("tool_calls", [])]
    return data.RawMessage(role=message["role"], content=content_of(message["content"]), **more)


def conversations(images):
    system = {"role": "system", "content": "You are a pirate.\nSpeak like one. "}

    def user(content, **more):
        return {"role": "user", "content": content, **more}

    def answer(content, stop="end_of_turn", **more):
        return {"role": "assistant", "content": content, "stop_reason": stop, **more}

    def call(name, arguments, stop="end_of_turn", content=""):
        return answer(content, stop, tool_calls=[{"name": name, "arguments": arguments}])

    def tool(content):
        return {"role": "tool", "content": content}

    texts = ["Hi", "  two spaces before, and after  ", "tab\tand\r\nbreaks\n\n\nin\n", "12345 678",
             "Grüße 你好 \U0001f600\u200d\U0001f525 ﬁ", "<|eot_id|><|eot|><|begin_of_text|>x<|image|>",
             "it's THEY'RE ſ'S", "", "a" * 200, "def f(x):\n\treturn x/2\n"]
    for text in texts:
        yield [user(text)]
        yield [system, user(text), answer(text), user("And " + text)]
    yield [user("Summarise", context="Retrieved: é\n")]
    for stop in ("end_of_turn", "end_of_message"):
        yield [system, user("Weather?"), call("get_weather", {
            "city": "Zürich", "n": 3, "x": 0.5, "yes": True, "no": None, "list": [1, "a"],
            "map": {"k": "v"}}, stop), tool('{"temp": 21}'), answer("Mild."), user("Thanks")]
        yield [user("Search"), call("brave_search", {"query": "what's \"new\""}, stop), tool("news")]
        yield [user("Solve"), call("wolfram_alpha", {"query": "x^2=2"}, stop), tool("1.414")]
        yield [user("Run"), call("code_interpreter", {"code": "print('a')\nprint(2)"}, stop),
               tool("a\n2\n"), answer("Done.", stop)]
    if images:
        image = {"type": "image"}
        yield [user([image, {"type": "text", "text": "What is it?"}])]
        yield [user([{"type": "text", "text": "Compare"}, image, {"type": "text", "text": "and"}, image]),
               answer("Same."), user([image])]


def record(form, images):
    cases = []
    for messages in conversations(images):
        for name in ("json", "python_list", "function_tag"):
            if name != "json" and not any("tool_calls" in m for m in messages):
                continue
            ids = form.encode_dialog_prompt([message_of(m) for m in messages],
                                            data.ToolPromptFormat(name)).tokens
            cases.append({"messages": messages, "tool_prompt_format": name, "ids": " ".join(map(str, ids))})
    return cases


def main():
    out = {"llama3": record(format3.ChatFormat(Tokenizer3.get_instance()), True),
           "llama4": record(format4.ChatFormat(Tokenizer4.get_instance()), False)}
    path = os.path.join(os.path.dirname(__file__), "../../test/data/templates/meta_chat.json")
    with open(path, "w", encoding="utf-8") as file:
        json.dump(out, file, ensure_ascii=True, indent=1)
        file.write("\n")


if __name__ == "__main__":
    main()
