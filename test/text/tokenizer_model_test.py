"""A checkpoint folder with a tiktoken tokenizer.model in place of tokenizer.json, as people use it.

The vocabulary is made here: the 256 bytes, whose ids are their values, and the 256 control tokens of
Llama 3 behind them are the 512 rows of the small model's embedding table.
"""

import base64
import json
import os
import shutil
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../cli"))
from clitest import COMPILE, DATA, TEMP, command, main, must  # noqa: E402

MODEL = os.path.join(DATA, "oracles", "llama3-text-tied")
BOS, START, END, EOT = 256, 262, 263, 265


def file_of(tokens):
    return "".join(f"{base64.b64encode(token).decode()} {rank}\n" for rank, token in enumerate(tokens))


BYTES = [bytes([value]) for value in range(256)]


def folder(name, tokenizer_model):
    path = os.path.join(TEMP, name)
    shutil.copytree(MODEL, path, ignore=shutil.ignore_patterns("golden", "tokenizer*"))
    with open(os.path.join(path, "tokenizer.model"), "wb") as file:
        file.write(tokenizer_model)
    return path


def compiled(name, tokenizer_model):
    path = os.path.join(TEMP, name + ".l4x")
    done = command(COMPILE, folder(name, tokenizer_model), "-o", path)
    return done, path


class TokenizerModel(unittest.TestCase):
    def ids(self, model, *options):
        return [int(text) for text in must("tokenize", model, *options).split()]

    def file(self, name, content):
        path = os.path.join(TEMP, name)
        with open(path, "w", encoding="utf-8") as file:
            file.write(content)
        return path

    def test_ids_of_text_and_chat(self):
        done, model = compiled("bytes", file_of(BYTES).encode())
        self.assertEqual(done.returncode, 0, done.stderr)
        text = "Grüße <|eot_id|> 1234"
        path = self.file("text", text)
        plain = list(text.encode())
        self.assertEqual(self.ids(model, "--text-file", path), plain)
        self.assertEqual(self.ids(model, "--text-file", path, "--add-bos"), [BOS] + plain)
        special = self.ids(model, "--text-file", path, "--parse-special")
        self.assertEqual(special, list("Grüße ".encode()) + [EOT] + list(b" 1234"))
        chat = self.file("chat.json", json.dumps([{"role": "user", "content": text}]))

        def header(role):
            return [START] + list(role) + [END] + list(b"\n\n")

        self.assertEqual(self.ids(model, "--messages", chat),
                         [BOS] + header(b"user") + plain + [EOT] + header(b"assistant"))

    def test_merges(self):
        done, model = compiled("merges", file_of(BYTES[1:] + [b"\0"]).encode())
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(self.ids(model, "--text-file", self.file("text", "ab")), [96, 97])

    def test_another_models_tokenizer(self):
        done, model = compiled("large", file_of(BYTES + [b"ab"]).encode())
        self.assertEqual(done.returncode, 65, done.stderr)
        self.assertIn("tokenizer.model: found 513 tokens", done.stderr)
        self.assertIn("vocab_size is 512", done.stderr)
        self.assertFalse(os.path.exists(model))

    def test_damaged(self):
        done, model = compiled("damaged", (file_of(BYTES)[:-2] + "x\n").encode())
        self.assertEqual(done.returncode, 65, done.stderr)
        self.assertIn("tokenizer.model: line 256: ", done.stderr)
        self.assertFalse(os.path.exists(model))

    def test_sentencepiece_is_no_tokenizer(self):
        done, model = compiled("pieces", b"\n\x0e\n\x05<unk>\x15\0\0\0\0\x18\x02\n\x04\n\x03<s>")
        self.assertEqual(done.returncode, 0, done.stderr)
        done = command(os.path.join(os.path.dirname(COMPILE), "llama4-run"), "tokenize", model,
                       "--text-file", self.file("text", "a"))
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("found no tokenizer", done.stderr)


if __name__ == "__main__":
    main()
