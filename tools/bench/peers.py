"""The programs that compare.py puts beside ours. Each measures one test in a process of its own.

A test is a dictionary: `threads`, `prompt` or `new` (tokens to process or to decode, the other one
0), `depth`, `batch`. A peer answers with tokens per second of all sequences together, or with a
reason why it cannot.
"""

import json
import os
import pathlib
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve()


def run(command):
    """The stdout of a program, or the last line of what it complained of as the reason."""
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True,
                          check=False, env=os.environ | {"PYTHONDONTWRITEBYTECODE": "1"})
    if done.returncode != 0:
        lines = done.stderr.strip().splitlines() or [f"ended with {done.returncode}"]
        raise RuntimeError(lines[-1][:200])
    return done.stdout


class Ours:
    name = "llama4-run"

    def __init__(self, binaries, program):
        self.run, self.program = binaries / "llama4-run", program

    def measure(self, test):
        """The report of one run; a decode stands behind the shortest prompt."""
        phase = "prompt" if test["prompt"] else "decode"
        report = json.loads(run([
            self.run, "bench", self.program, "--json", "--runs", 1, "--threads", test["threads"],
            "--prompt-tokens", test["prompt"] or 1, "--new-tokens", test["new"] or 1, "--depth",
            test["depth"], "--batch", test["batch"]]))[phase]
        return report["tokens_per_second"]["median"], report

    def limits(self, threads):
        """What the machine reads and multiplies at the moment."""
        return json.loads(run([self.run, "bench", self.program, "--limits", "--json", "--threads",
                               threads]))["limits"]


class LlamaCpp:
    """PyPI llama-cpp-python: llama.cpp's own steps, called through its C interface."""
    name = "llama.cpp"

    def __init__(self, model):
        self.model = model

    def skipped(self):
        done = subprocess.run([sys.executable, "-c", "import llama_cpp"], capture_output=True,
                              check=False)
        return None if done.returncode == 0 else "llama-cpp-python is not installed"

    def measure(self, test):
        return json.loads(run([sys.executable, HERE, "llama-cpp", self.model, json.dumps(test)]))


class LlamaBench:
    """A llama-bench binary, of llama.cpp or of ik_llama.cpp. Batches need the llama-batched-bench
    that lies beside it."""

    def __init__(self, binary, model):
        self.binary, self.model = pathlib.Path(binary), model
        folders = [part for part in self.binary.resolve().parts if part not in ("build", "bin")]
        self.name = "/".join(folders[-2:])

    def skipped(self):
        return None if os.access(self.binary, os.X_OK) else f"{self.binary} is not there"

    def measure(self, test):
        if test["batch"] > 1:
            return self.batched(test)
        rows = json.loads(run([self.binary, "-m", self.model, "-t", test["threads"], "-ngl", 0,
                               "-p", test["prompt"], "-n", test["new"], "-r", 1, "-o", "json",
                               *(["-d", test["depth"]] if test["depth"] else [])]))
        return rows[-1]["avg_ts"]

    def batched(self, test):
        binary = self.binary.with_name("llama-batched-bench")
        if not binary.exists():
            raise RuntimeError("there is no llama-batched-bench beside it")
        prompt = test["prompt"] or max(test["depth"], 1)
        new = max(test["new"], 1)
        text = run([binary, "-m", self.model, "-t", test["threads"], "-ngl", 0, "-c",
                    (prompt + new) * test["batch"] + 64, "-npp", prompt, "-ntg", new, "-npl",
                    test["batch"]])
        # | PP | TG | B | N_KV | T_PP s | S_PP t/s | T_TG s | S_TG t/s | T s | S t/s |
        row = [line for line in text.splitlines() if line.startswith("|")][-1].split("|")
        return float(row[6 if test["prompt"] else 8])


class OpenVino:
    """PyPI openvino-genai, which reads GGUF files itself. `group`: columns of activations that share
    a scale in 8 bits; 0: what it chooses."""

    def __init__(self, model, group=0):
        self.model, self.group = model, group
        self.name = f"OpenVINO, groups of {group}" if group else "OpenVINO"

    def skipped(self):
        done = subprocess.run([sys.executable, "-c", "import openvino_genai"], capture_output=True,
                              check=False)
        return None if done.returncode == 0 else "openvino-genai is not installed"

    def measure(self, test):
        if test["batch"] > 1 or test["depth"]:
            raise RuntimeError("only one sequence from an empty cache is measured")
        return json.loads(run([sys.executable, HERE, "openvino", self.model,
                               json.dumps(test | {"group": self.group})]))


def measure_llama_cpp(model, test):
    """One pass to warm up and one that counts."""
    import ctypes
    import time

    import llama_cpp as l
    batch, length = test["batch"], test["depth"] + test["prompt"] + test["new"] + 1
    l.llama_backend_init()
    quiet = l.llama_log_callback(lambda *_: None)
    l.llama_log_set(quiet, ctypes.c_void_p(0))
    loaded = l.llama_model_load_from_file(model.encode(), l.llama_model_default_params())
    params = l.llama_context_default_params()
    params.n_ctx = (length + 64) * batch
    params.n_batch = params.n_ubatch = max(512, batch)
    params.n_seq_max = batch
    params.n_threads = params.n_threads_batch = test["threads"]
    context = l.llama_init_from_model(loaded, params) if loaded else None
    if not context:
        sys.exit("llama.cpp cannot load the file")
    vocabulary = l.llama_vocab_n_tokens(l.llama_model_get_vocab(loaded))
    step = l.llama_batch_init(params.n_batch, 0, batch)

    def process(tokens, begin):
        """tokens[i]: (sequence, position) of the i-th, all of them through steps."""
        for first in range(0, len(tokens), params.n_batch):
            part = tokens[first:first + params.n_batch]
            step.n_tokens = len(part)
            for i, (sequence, position) in enumerate(part):
                step.token[i] = (position * 7919 + sequence * 31 + 100) % vocabulary
                step.pos[i] = position
                step.n_seq_id[i] = 1
                step.seq_id[i][0] = sequence
                step.logits[i] = position == begin
            if l.llama_decode(context, step) != 0:
                sys.exit("llama_decode failed")
        l.llama_synchronize(context)

    def once():
        l.llama_memory_clear(l.llama_get_memory(context), True)
        depth = test["depth"] or (1 if test["new"] else 0)
        process([(s, p) for s in range(batch) for p in range(depth)], -1)
        start = time.perf_counter()
        if test["prompt"]:
            last = depth + test["prompt"] - 1
            process([(s, p) for s in range(batch) for p in range(depth, last + 1)], last)
        for p in range(depth, depth + test["new"]):
            process([(s, p) for s in range(batch)], p)
        return batch * (test["prompt"] or test["new"]) / (time.perf_counter() - start)

    once()
    return once()


def measure_openvino(model, test):
    """One pass to warm up and one that counts, with other tokens: it keeps what it has processed."""
    import numpy
    import openvino
    import openvino_genai
    options = {"INFERENCE_NUM_THREADS": test["threads"]}
    if test["group"]:
        options["DYNAMIC_QUANTIZATION_GROUP_SIZE"] = test["group"]
    pipeline = openvino_genai.LLMPipeline(model, "CPU", **options)
    config = openvino_genai.GenerationConfig(max_new_tokens=test["new"] or 1, ignore_eos=True)
    prompt = test["prompt"] or 1

    def once(first):
        ids = [(i * 7919 + first) % 32000 for i in range(prompt)]
        inputs = openvino_genai.TokenizedInputs(
            openvino.Tensor(numpy.array([ids], dtype="int64")),
            openvino.Tensor(numpy.ones((1, prompt), dtype="int64")))
        return pipeline.generate(inputs, config).perf_metrics

    once(100)
    metrics = once(201)
    if test["prompt"]:
        return 1000 * prompt / metrics.get_ttft().mean
    return 1000 / metrics.get_tpot().mean


if __name__ == "__main__":
    measure = {"llama-cpp": measure_llama_cpp, "openvino": measure_openvino}[sys.argv[1]]
    print(json.dumps(measure(sys.argv[2], json.loads(sys.argv[3]))))
