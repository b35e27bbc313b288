#!/usr/bin/env python3
"""Perplexity beside llama.cpp, from the same GGUF bytes on the same text.

    tools/bench/perplexity.py MODEL.gguf [--requantize q8_0]... [--bin build/bin]

Prints a Markdown table of one row for each file: MODEL as it is, and with --requantize MODEL with
all its matrices in another encoding, written to a temporary folder by the gguf package or, where
that has no quantizer (q4_k, q6_k), by llama.cpp's; rows that are no multiple of 256 then fall back
as llama.cpp chooses, and the table counts what the file holds. Ours is measured in the fast mode
and with --compute float32. Both sides by the method of llama-perplexity: chunks of the context, BOS
in place of each first token where the model adds BOS, the second half scored. Ends with 1 when a
difference is above --tolerance. Needs llama-cpp-python, gguf and numpy.
"""

import argparse
import collections
import json
import math
import os
import subprocess
import sys
import tempfile

import gguf
import llama_cpp
import numpy as np

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def requantize_by_llama_cpp(source, kind, path):
    """`source` with every matrix in `kind`, or in what llama.cpp takes for rows it cannot hold."""
    params = llama_cpp.llama_model_quantize_default_params()
    params.ftype = {gguf.GGMLQuantizationType.Q4_K: llama_cpp.LLAMA_FTYPE_MOSTLY_Q4_K_S,
                    gguf.GGMLQuantizationType.Q6_K: llama_cpp.LLAMA_FTYPE_MOSTLY_Q6_K}[kind]
    params.allow_requantize = params.pure = True
    params.nthread = 1
    if llama_cpp.llama_model_quantize(source.encode(), path.encode(), params) != 0:
        sys.exit(f"{source}: llama.cpp cannot write it as {kind.name}")
    return path


def matrices(path):
    """"q4_k 60, q5_0 151": how many matrices a file holds in each type."""
    kinds = collections.Counter(tensor.tensor_type.name.lower()
                                for tensor in gguf.GGUFReader(path).tensors
                                if len(tensor.shape) > 1)
    return ", ".join(f"{kind} {count}" for kind, count in kinds.most_common())


def requantize(source, encoding, path):
    """`source` with every matrix in `encoding`."""
    kind = gguf.GGMLQuantizationType[encoding.upper()]
    if encoding in ("q4_k", "q6_k"):
        return requantize_by_llama_cpp(source, kind, path)
    reader = gguf.GGUFReader(source)
    architecture = reader.fields["general.architecture"].contents()
    writer = gguf.GGUFWriter(path, architecture)
    for name, field in reader.fields.items():
        if name.startswith("GGUF.") or name == "general.architecture":
            continue
        element = field.types[-1] if field.types[0] == gguf.GGUFValueType.ARRAY else None
        writer.add_key_value(name, field.contents(), field.types[0], sub_type=element)
    for tensor in reader.tensors:
        if len(tensor.shape) < 2:
            writer.add_tensor(tensor.name, tensor.data, raw_dtype=tensor.tensor_type)
            continue
        values = gguf.quants.dequantize(tensor.data, tensor.tensor_type)
        writer.add_tensor(tensor.name, gguf.quants.quantize(values, kind), raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def negative_log_likelihoods(logits, wanted):
    """-ln softmax(logits[i])[wanted[i]]."""
    logits = logits.astype(np.float64)
    top = logits.max(axis=1, keepdims=True)
    total = np.log(np.exp(logits - top).sum(axis=1)) + top[:, 0]
    return total - logits[np.arange(len(wanted)), wanted]


def llama_cpp_perplexity(model, text, context, chunks, threads):
    llm = llama_cpp.Llama(model, n_ctx=context, n_batch=context, logits_all=True, verbose=False,
                          n_threads=threads, n_threads_batch=threads)
    add_bos = bool(llama_cpp.llama_vocab_get_add_bos(
        llama_cpp.llama_model_get_vocab(llm.model)))
    ids = llm.tokenize(text, add_bos=add_bos, special=False)
    count = len(ids) // context
    if chunks:
        count = min(count, chunks)
    values = []
    for chunk in range(count):
        part = ids[chunk * context:(chunk + 1) * context]
        if add_bos:
            part[0] = llm.token_bos()
        llm.reset()
        llm.eval(part)
        first = context // 2
        rows = np.array(llm.scores[first:context - 1])
        values.append(negative_log_likelihoods(rows, np.array(part[first + 1:])))
    return math.exp(np.concatenate(values).mean()), ids


def our_perplexity(args, gguf_file, compute, folder):
    """The value and the ids of the text."""
    program = os.path.join(folder, "model.l4x")
    subprocess.run([os.path.join(args.bin, "llama4-compile"), gguf_file, "-o", program, "--compute",
                    compute, "--max-length", str(args.context), "--max-batch-size", "1"],
                   check=True)
    run = os.path.join(args.bin, "llama4-run")
    options = ["--chunks", str(args.chunks)] if args.chunks else []
    out = subprocess.run([run, "perplexity", program, "--text-file", args.text_file, "--context",
                          str(args.context), "--threads", str(args.threads), "--json", *options],
                         check=True, stdout=subprocess.PIPE, text=True).stdout
    ids = subprocess.run([run, "tokenize", program, "--text-file", args.text_file], check=True,
                         stdout=subprocess.PIPE, text=True).stdout
    return json.loads(out), [int(word) for word in ids.split()]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model")
    parser.add_argument("--requantize", action="append", default=[])
    parser.add_argument("--no-float32", action="store_true", help="measure the fast mode alone")
    parser.add_argument("--text-file", default=os.path.join(ROOT, "test/data/perplexity.txt"))
    parser.add_argument("--context", type=int, default=512)
    parser.add_argument("--chunks", type=int, default=0)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--tolerance", type=float, default=0.005)
    parser.add_argument("--bin", default=os.path.join(ROOT, "build/bin"))
    args = parser.parse_args()
    with open(args.text_file, "rb") as file:
        text = file.read()
    worst = 0.0
    columns = ["file", "matrices", "scored", "llama.cpp", "llama4, fast", "difference"]
    if not args.no_float32:
        columns += ["llama4, float32", "difference"]
    print("| " + " | ".join(columns) + " |\n|" + "---|" * len(columns))
    with tempfile.TemporaryDirectory(prefix="llama4-perplexity-") as folder:
        files = [("as shipped", args.model)]
        for encoding in args.requantize:
            files.append((encoding, requantize(args.model, encoding,
                                               os.path.join(folder, encoding + ".gguf"))))
        for name, path in files:
            theirs, ids = llama_cpp_perplexity(path, text, args.context, args.chunks, args.threads)
            cells = []
            for compute in ("bfloat16",) if args.no_float32 else ("bfloat16", "float32"):
                ours, own_ids = our_perplexity(args, path, compute, folder)
                if own_ids != ids[len(ids) - len(own_ids):]:
                    sys.exit(f"{name}: the two tokenizers disagree")
                difference = ours["perplexity"] / theirs - 1
                worst = max(worst, abs(difference))
                cells.append(f"{ours['perplexity']:.4f} | {100 * difference:+.3f} %")
            print(f"| {name} | {matrices(path)} | {ours['scored']} | {theirs:.4f} | "
                  f"{' | '.join(cells)} |", flush=True)
    if worst > args.tolerance:
        sys.exit(f"found a difference of {100 * worst:.3f} %, expected at most "
                 f"{100 * args.tolerance:.3f} %")


if __name__ == "__main__":
    main()
