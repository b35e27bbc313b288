"""Pictures, compiled: Llama 4 (features in the places of tokens) and Llama 3.2 Vision (cross-attention).

The case llama4-vision with its prompt "one" is in test/data/oracles; the other prompts and mllama are
looked for in LLAMA4_ORACLES. In float32 image features, logits at every position and greedy tokens
must be those of the reference, from its pixels and from the picture files.
"""

import base64
import json
import os
import struct
import unittest
import zlib

from clitest import (DATA, LEVELS, compiled, invoke, load_file, main, must, need_level,
                     np, per_level, run, temp)

ORACLES = os.environ.get("LLAMA4_ORACLES", "")
PROMPTS = {"llama4-vision": ["one", "two", "tiled", "text"],
           "mllama": ["one_tile", "four_tiles", "wide", "twoturn", "text"]}


def find_cases():
    """The folder of each case: the one with the most prompts."""
    cases = {}
    for name, prompts in PROMPTS.items():
        for folder in (ORACLES, os.path.join(DATA, "oracles")):
            if os.path.exists(os.path.join(folder, name, "config.json")):
                cases.setdefault(name, os.path.join(folder, name))
        if name not in cases:
            print(f"skipped: {name}, no reference outputs under LLAMA4_ORACLES")
        elif not os.path.exists(golden_path(cases[name], "prefill", prompts[-1])):
            print(f"skipped: most prompts of {name}, no reference outputs under LLAMA4_ORACLES")
    return cases


def golden_path(folder, kind, prompt):
    return os.path.join(folder, "golden", f"{kind}.{prompt}.safetensors")


CASES = find_cases()


def prompts(case):
    return [p for p in PROMPTS[case] if os.path.exists(golden_path(CASES[case], "prefill", p))]


def golden(case, kind, prompt):
    return load_file(golden_path(CASES[case], kind, prompt))


def facts(case, prompt):
    with open(os.path.join(CASES[case], "golden", "meta.json"), encoding="utf-8") as file:
        return json.load(file)["stats"][prompt]


def pictures(case, prompt):
    """--image for the picture files of a prompt."""
    options = []
    for i in range(len(facts(case, prompt)["image_sizes"])):
        options += ["--image", os.path.join(CASES[case], "images", f"{prompt}_{i}.png")]
    return options


def inputs(case, prompt):
    """What an image processor makes, and the ids."""
    names = ("input_ids", "pixel_values", "aspect_ratio_ids", "aspect_ratio_mask",
             "cross_attention_mask")
    return {name: value for name, value in golden(case, "prefill", prompt).items() if name in names}


def generate(model, *options):
    return json.loads(must("generate", model, "--ignore-eos", "--temperature", 0, "-n", 32, "--json",
                           "--image-alpha", "drop", *options))


def png_url(colour):
    """A picture of one colour, 8 x 8, as a URL."""
    def chunk(kind, data):
        return (struct.pack(">I", len(data)) + kind + data +
                struct.pack(">I", zlib.crc32(kind + data)))
    rows = (b"\0" + bytes(colour) * 8) * 8
    png = (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", 8, 8, 8, 2, 0, 0, 0)) +
           chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))
    return "data:image/png;base64," + base64.b64encode(png).decode()


def together(case, chosen):
    """The inputs of several prompts as sequences of one file."""
    parts = [inputs(case, prompt) for prompt in chosen]
    tensors = {"input_ids": np.concatenate([p["input_ids"] for p in parts]),
               "sequence_lengths": np.array([len(p["input_ids"]) for p in parts])}
    seeing = [p for p in parts if "pixel_values" in p]
    axis = 0 if case == "llama4-vision" else 1
    tensors["pixel_values"] = np.concatenate([p["pixel_values"] for p in seeing], axis)
    if case == "mllama":
        for name in ("aspect_ratio_ids", "aspect_ratio_mask"):
            tensors[name] = np.concatenate([p[name] for p in seeing], 1)
        images = tensors["aspect_ratio_ids"].shape[1]
        mask = np.zeros((1, len(tensors["input_ids"]), images, 4), np.int64)
        token = image = 0
        for p in parts:
            count = p["aspect_ratio_ids"].shape[1] if "pixel_values" in p else 0
            length = len(p["input_ids"])
            if count:
                mask[:, token:token + length, image:image + count] = p["cross_attention_mask"]
            token, image = token + length, image + count
        tensors["cross_attention_mask"] = mask
    return tensors


def features(case, model, prompt, *options):
    """(found, wanted) features of a prompt's tiles that are there, from the entry that makes them."""
    source = golden(case, "prefill", prompt)
    pixels, wanted = source["pixel_values"], source["projected"]
    side = pixels.shape[-1]
    if case == "llama4-vision":
        found = [invoke(model, {"pixels": pixels[i:i + 2].reshape(-1, side)}, "--entry",
                        "encode_image", *options)["out0"] for i in range(0, len(pixels), 2)]
        return np.concatenate(found), wanted
    found, right = [], []
    for i in range(pixels.shape[1]):
        tiles = source["aspect_ratio_mask"][0, i].sum()
        tensors = {"pixels": pixels[0, i].reshape(-1, side), "tiles": np.array([tiles], np.int32),
                   "aspect_ratio_ids": source["aspect_ratio_ids"][0, i:i + 1].astype(np.int32)}
        made = invoke(model, tensors, "--entry", "encode_image", *options)["out0"]
        found.append(made.reshape(4, -1, made.shape[-1])[:tiles])
        right.append(wanted[0, i, :tiles])
    return np.concatenate(found), np.concatenate(right)


@per_level
class Float32:
    def setUp(self):
        self.models = {case: compiled(CASES[case], "--compute", "float32") for case in CASES}
        need_level(next(iter(self.models.values())), self.level)

    def invoke(self, case, tensors, *options):
        return invoke(self.models[case], tensors, "--cpu-level", self.level, *options)["logits"]

    def test_image_features(self):
        for case, model in self.models.items():
            for prompt in prompts(case):
                if prompt == "text":
                    continue
                found, wanted = features(case, model, prompt, "--cpu-level", self.level)
                self.assertEqual(found.shape, wanted.shape)
                self.assertLessEqual(np.abs(found - wanted).max(), 2e-4, f"{case} {prompt}")

    def test_logits_of_every_position(self):
        for case in CASES:
            for prompt in prompts(case):
                wanted = golden(case, "prefill", prompt)["logits"]
                found = self.invoke(case, golden_path(CASES[case], "prefill", prompt))
                self.assertEqual(found.shape, wanted.shape)
                worst = np.abs(found - wanted).max()
                print(f"{case} {prompt} {self.level}: worst difference {worst:.1e}")
                self.assertLessEqual(worst, 2e-4, f"{case} {prompt}")

    def test_greedy_continuation_from_picture_files(self):
        for case, model in self.models.items():
            for prompt in prompts(case):
                made = generate(model, "--cpu-level", self.level, "--raw", "--prompt",
                                facts(case, prompt)["text"], *pictures(case, prompt))
                self.assertEqual(made["prompt_ids"],
                                 golden(case, "prefill", prompt)["input_ids"].tolist())
                reference = golden(case, "greedy", prompt)
                self.assertGreater(reference["margin"].min(), 2e-3)
                self.assertEqual(made["ids"], reference["tokens"].tolist(), f"{case} {prompt}")

    def test_same_bits_in_any_chunks_and_threads(self):
        for case in CASES:
            prompt = prompts(case)[:4][-1 if case == "mllama" else min(2, len(prompts(case)) - 1)]
            tensors = inputs(case, prompt)
            self.assertIn("pixel_values", tensors)
            whole = self.invoke(case, tensors, "--threads", 1)
            for options in (["--prefill-chunk-size", 7], ["--prefill-chunk-size", 1],
                            ["--prefill-chunk-size", 12, "--threads", 2], ["--threads", 3]):
                found = self.invoke(case, tensors, *options)
                self.assertEqual(whole.tobytes(), found.tobytes(), f"{case} {prompt} {options}")

    def test_same_bits_of_mixed_sequences(self):
        """No picture, one, several tiles, two pictures: in one batch as alone."""
        for case in CASES:
            chosen = prompts(case)
            if len(chosen) == 1:
                chosen = chosen * 2
            alone = np.concatenate([self.invoke(case, inputs(case, p)) for p in chosen])
            for options in ([], ["--prefill-chunk-size", 5], ["--prefill-chunk-size", 1]):
                found = self.invoke(case, together(case, chosen), *options)
                self.assertEqual(alone.tobytes(), found.tobytes(), f"{case} {options}")


class OneDnn(unittest.TestCase):
    """The tower's linears by oneDNN: the same reference outputs, the same bits on any threads."""

    def setUp(self):
        # Rows and weights of one type: the checkpoints' bfloat16 as float32, which is exact.
        self.models = {case: compiled(CASES[case], "--compute", "float32", "--vision-encoding",
                                      "float32", "--library", "onednn") for case in CASES}
        for case, model in self.models.items():
            done = run("invoke", model, "--in", golden_path(CASES[case], "prefill", prompts(case)[0]),
                       "--out", temp("out.safetensors"))
            if done.returncode == 69 and "libdnnl" in done.stderr:
                self.assertIn("install it (Debian package libdnnl2)", done.stderr)
                print(f"skipped: oneDNN, {done.stderr.strip()}")
                self.skipTest("no oneDNN 2 here")
            self.assertEqual(done.returncode, 0, done.stderr)

    def test_reference_outputs(self):
        for case, model in self.models.items():
            kernels = json.loads(must("inspect", model, "--json"))["kernels"]
            by_library = [k["symbol"] for k in kernels if k.get("library") == "onednn"]
            self.assertTrue(by_library)
            for name in by_library:
                self.assertTrue(name.startswith("encode_image_linear"), name)
            for prompt in prompts(case):
                source = golden_path(CASES[case], "prefill", prompt)
                difference = np.abs(invoke(model, source)["logits"] - load_file(source)["logits"]).max()
                print(f"{case} {prompt} oneDNN: worst difference {difference:.1e}")
                self.assertLessEqual(difference, 2e-4, f"{case} {prompt}")
                if prompt != "text":
                    found, wanted = features(case, model, prompt)
                    self.assertLessEqual(np.abs(found - wanted).max(), 2e-4, f"{case} {prompt}")

    def test_bfloat16_is_as_near_as_our_own(self):
        for case in CASES:
            own = compiled(CASES[case])
            theirs = compiled(CASES[case], "--library", "onednn")
            for prompt in prompts(case):
                if prompt == "text":
                    continue
                wanted = features(case, own, prompt)[1]
                errors = [np.sqrt(np.square(features(case, model, prompt)[0] - wanted).mean())
                          for model in (own, theirs)]
                print(f"{case} {prompt} bfloat16, rms: own {errors[0]:.2e}, oneDNN {errors[1]:.2e}")
                self.assertLessEqual(errors[1], 1.2 * errors[0], f"{case} {prompt}")

    def test_same_bits_on_any_threads(self):
        models = list(self.models.items()) + [
            (case, compiled(CASES[case], "--library", "onednn")) for case in CASES]
        for case, model in models:
            for prompt in prompts(case):
                if prompt == "text":
                    continue
                one = features(case, model, prompt, "--threads", 1)[0].tobytes()
                for threads in (1, 2, 3):
                    found = features(case, model, prompt, "--threads", threads)[0]
                    self.assertEqual(found.tobytes(), one, f"{case} {prompt} {threads}")


class Programs(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.models = {case: compiled(CASES[case], "--compute", "float32") for case in CASES}

    def test_pixels_of_picture_files(self):
        for case, model in self.models.items():
            for prompt in prompts(case):
                if prompt == "text":
                    continue
                out = temp("pixels.safetensors")
                must("invoke", model, "--out", out, "--image-alpha", "drop", *pictures(case, prompt))
                found, wanted = load_file(out), golden(case, "prefill", prompt)
                self.assertEqual(found["pixel_values"].shape, wanted["pixel_values"].shape)
                # One level of 255, of the smallest deviation.
                self.assertLessEqual(np.abs(found["pixel_values"] - wanted["pixel_values"]).max(),
                                     1.01 / 255 / 0.26)
                tiling = [name for name in found if name != "pixel_values"]
                self.assertTrue(tiling)
                for name in tiling:
                    self.assertEqual(found[name].tolist(), wanted[name].tolist(), f"{prompt} {name}")

    def test_chat_puts_pictures_at_their_marks(self):
        for case, model in self.models.items():
            for prompt in prompts(case):
                text = facts(case, prompt)["text"]
                if text.count("user") > 1:
                    continue  # of several turns
                message = text.split("\n\n", 1)[1].split("<|eot")[0]
                wanted = golden(case, "prefill", prompt)["input_ids"].tolist()
                variants = [message]
                if message.startswith("<|image|>"):
                    variants.append(message.replace("<|image|>", ""))  # before a text without marks
                for one in variants:
                    made = generate(model, "--prompt", one, *pictures(case, prompt))
                    self.assertEqual(made["prompt_ids"], wanted, f"{case} {one}")

    def test_several_prompts_take_their_pictures_in_order(self):
        for case, model in self.models.items():
            seeing = [p for p in prompts(case) if p != "text" and p != "twoturn"]
            options, marks = [], []
            for prompt in seeing:
                options += ["--prompt", facts(case, prompt)["text"]]
                marks += pictures(case, prompt)
            if len(seeing) < 2:
                options, marks, seeing = options * 2, marks * 2, seeing * 2
            text = must("generate", model, "--ignore-eos", "--temperature", 0, "-n", 8, "--ids",
                        "--raw", "--image-alpha", "drop", *options, *marks)
            lines = [[int(word) for word in line.split()] for line in text.splitlines()]
            wanted = [golden(case, "greedy", p)["tokens"][:8].tolist() for p in seeing]
            self.assertEqual(lines, wanted)

    def test_inspect_shows_pictures(self):
        for case, model in self.models.items():
            shown = json.loads(must("inspect", model, "--json"))
            self.assertEqual(shown["images"]["image_size"], 56)
            self.assertEqual(shown["images"]["tokens_per_tile"], {"llama4-vision": 4, "mllama": 17}[case])
            self.assertIn("encode_image", [entry["name"] for entry in shown["entries"]])
            self.assertIn("tiles of 56 x 56 pixels", must("inspect", model))

    def refused(self, code, text, *arguments):
        done = run(*arguments)
        self.assertEqual(done.returncode, code, done.stderr)
        self.assertIn(text, done.stderr)
        self.assertEqual(done.stderr.count("error: "), 1, done.stderr)
        self.assertTrue(done.stderr.splitlines()[-1].startswith("llama4-run: error: "), done.stderr)

    def test_errors_are_one_sentence(self):
        case = "llama4-vision"
        model, picture = self.models[case], pictures(case, "one")
        self.refused(65, "found 1 images for 2 marks", "generate", model, "--prompt",
                     "<|image|> or <|image|>?", *picture)
        self.refused(65, "found 2 images for 1 marks", "generate", model, "--prompt", "<|image|>",
                     *picture, *picture)
        self.refused(65, "found 0 images for 1 marks", "generate", model, "--prompt", "<|image|>")
        self.refused(65, "found 1 images for 0 marks", "generate", model, "--raw", "--prompt", "a",
                     *picture)
        self.refused(65, "more than marks", "generate", model, "--raw", "--prompt", "a", "--prompt",
                     "b", *picture)
        self.refused(66, "nothing.png", "generate", model, "--prompt", "a", "--image", "nothing.png")
        self.refused(65, "config.json", "generate", model, "--prompt", "a", "--image",
                     os.path.join(CASES[case], "config.json"))
        text_only = compiled(CASES[case], "--compute", "float32", "--text-only")
        self.refused(65, "for a model of text alone", "generate", text_only, "--prompt", "a",
                     *picture)
        self.refused(65, "for a model of text alone", "invoke", text_only, "--in",
                     golden_path(CASES[case], "prefill", "one"), "--out", temp("none"))

    def test_more_pictures_than_there_is_room_for(self):
        model = self.models["llama4-vision"]
        options = []
        for i in range(86):
            options += ["--image", png_url((i, 100, 200 - i))]
        self.refused(2, "found 86 in one prompt, expected no more than the 85 tiles", "generate",
                     model, "--prompt", "What are these?", "-n", 1, *options)
        # The same picture again takes no more room.
        must("generate", model, "--prompt", "What are these?", "-n", 1, *options[:-2], *options[:2])

    def test_bfloat16_features(self):
        for case, folder in CASES.items():
            model = compiled(folder, "--target", "cpu:" + LEVELS[0])
            for prompt in prompts(case):
                if prompt == "text":
                    continue
                found, wanted = features(case, model, prompt)
                error = np.sqrt(((found - wanted) ** 2).mean() / (wanted ** 2).mean())
                print(f"{case} {prompt}: relative rms of bfloat16 features {error:.4f}")
                self.assertLessEqual(error, 0.03, f"{case} {prompt}")


if __name__ == "__main__":
    main()
