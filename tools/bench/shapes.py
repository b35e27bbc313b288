#!/usr/bin/env python3
"""Models of full width and made-up weights: the one place of their shapes.

    tools/bench/shapes.py list
    tools/bench/shapes.py compile SHAPE -o MODEL.l4x [--layers N] [--encoding E] [--seed 1] [-- ...]
    tools/bench/shapes.py config SHAPE [--layers N]            config.json on stdout
    tools/bench/shapes.py gguf SHAPE -o MODEL.gguf [--layers N] [--encoding E] [--seed 1]

`compile` writes a program of some kilobytes whose weights are made up when it is loaded
(--synthetic-weights random:SEED); what follows -- goes to llama4-compile. `gguf` writes random
blocks for programs that take files alone (dense Llama shapes; needs numpy and gguf): both this
project's and llama.cpp's read the same bytes from it.
"""

import argparse
import json
import pathlib
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
LLAMA_ROPE = {"rope_type": "llama3", "low_freq_factor": 1.0, "high_freq_factor": 4.0,
              "original_max_position_embeddings": 8192}

LLAMA_3_2_1B = {
    "architectures": ["LlamaForCausalLM"], "model_type": "llama", "vocab_size": 128256,
    "hidden_size": 2048, "intermediate_size": 8192, "num_hidden_layers": 16,
    "num_attention_heads": 32, "num_key_value_heads": 8, "head_dim": 64,
    "max_position_embeddings": 131072, "rms_norm_eps": 1e-5, "rope_theta": 500000.0,
    "rope_scaling": LLAMA_ROPE | {"factor": 32.0}, "tie_word_embeddings": True,
    "hidden_act": "silu", "torch_dtype": "bfloat16", "bos_token_id": 128000,
    "eos_token_id": [128001, 128008, 128009]}

LLAMA_3_1_8B = LLAMA_3_2_1B | {
    "hidden_size": 4096, "intermediate_size": 14336, "num_hidden_layers": 4, "head_dim": 128,
    "rope_scaling": LLAMA_ROPE | {"factor": 8.0}, "tie_word_embeddings": False}

SCOUT = {
    "architectures": ["Llama4ForCausalLM"], "model_type": "llama4_text", "hidden_size": 5120,
    "intermediate_size": 8192, "intermediate_size_mlp": 16384, "num_hidden_layers": 4,
    "num_attention_heads": 40, "num_key_value_heads": 8, "head_dim": 128, "vocab_size": 202048,
    "num_local_experts": 16, "num_experts_per_tok": 1, "interleave_moe_layer_step": 1,
    "max_position_embeddings": 10485760, "attention_chunk_size": 8192, "use_qk_norm": True,
    "rms_norm_eps": 1e-5, "rope_theta": 500000.0, "attn_temperature_tuning": 4, "attn_scale": 0.1,
    "floor_scale": 8192, "no_rope_layers": [], "torch_dtype": "bfloat16",
    "rope_scaling": {"rope_type": "llama3", "factor": 16.0, "low_freq_factor": 1.0,
                     "high_freq_factor": 1.0, "original_max_position_embeddings": 8192},
    "bos_token_id": 200000, "eos_token_id": [200001, 200007, 200008]}

SCOUT_VISION_TOWER = {
    "model_type": "llama4_vision_model", "hidden_size": 1408, "intermediate_size": 5632,
    "num_hidden_layers": 34, "num_attention_heads": 16, "num_channels": 3, "image_size": 336,
    "patch_size": 14, "pixel_shuffle_ratio": 0.5, "projector_input_dim": 4096,
    "projector_output_dim": 4096, "vision_output_dim": 4096, "rope_theta": 10000}

# Eight of forty layers; shape() leaves out the cross-attention of those that are not there.
LLAMA_3_2_11B_VISION = {
    "architectures": ["MllamaForConditionalGeneration"], "model_type": "mllama",
    "image_token_index": 128256, "torch_dtype": "bfloat16",
    "text_config": {
        "model_type": "mllama_text_model", "vocab_size": 128256, "hidden_size": 4096,
        "num_hidden_layers": 8, "num_attention_heads": 32, "num_key_value_heads": 8,
        "intermediate_size": 14336, "rms_norm_eps": 1e-5, "rope_theta": 500000.0,
        "max_position_embeddings": 131072, "cross_attention_layers": [3, 8, 13, 18, 23, 28, 33, 38],
        "rope_scaling": LLAMA_ROPE | {"factor": 8.0}, "tie_word_embeddings": False,
        "torch_dtype": "bfloat16"},
    "vision_config": {
        "model_type": "mllama_vision_model", "hidden_size": 1280, "num_hidden_layers": 32,
        "num_global_layers": 8, "attention_heads": 16, "num_channels": 3,
        "intermediate_size": 5120, "vision_output_dim": 7680, "image_size": 560, "patch_size": 14,
        "norm_eps": 1e-5, "max_num_tiles": 4, "intermediate_layers_indices": [3, 7, 15, 23, 30],
        "supported_aspect_ratios": [[1, 1], [1, 2], [1, 3], [1, 4], [2, 1], [2, 2], [3, 1],
                                    [4, 1]]}}

SHAPES = {"llama-3.2-1b": LLAMA_3_2_1B, "llama-3.1-8b": LLAMA_3_1_8B, "scout": SCOUT,
          "llama-3.2-11b-vision": LLAMA_3_2_11B_VISION}


def text_of(config):
    return config.get("text_config", config)


def shape(name, **changes):
    """A copy of a shape; `changes` are fields of its text part (`num_hidden_layers=2`)."""
    config = json.loads(json.dumps(SHAPES[name]))
    text_of(config).update(changes)
    layers = text_of(config)["num_hidden_layers"]
    if "cross_attention_layers" in text_of(config):
        kept = [i for i in text_of(config)["cross_attention_layers"] if i < layers]
        text_of(config)["cross_attention_layers"] = kept or [layers - 1]
    return config


def compile_config(config, output, compiler, encoding=None, seed=1, options=()):
    """Compiles a configuration with made-up weights; ends the process where that fails."""
    with tempfile.TemporaryDirectory() as folder:
        (pathlib.Path(folder) / "config.json").write_text(json.dumps(config))
        command = [compiler, folder, "-o", output, "--synthetic-weights", f"random:{seed}"]
        command += ["--quantization-encoding", encoding] if encoding else []
        done = subprocess.run([*map(str, command), *map(str, options)], check=False,
                              capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"{compiler} ended with {done.returncode}: {done.stderr}")


def random_rows(numpy, kind, rows, columns, seed):
    """Blocks of the type `kind` (a gguf.GGMLQuantizationType) for uniform weights of small size."""
    import gguf
    random = numpy.random.default_rng(seed)
    scale = (1 / columns) ** 0.5
    if kind.name in ("F32", "F16", "BF16"):
        values = (random.random((rows, columns), dtype=numpy.float32) - 0.5) * (3.4 * scale)
        return gguf.quants.quantize(values, kind)
    block, size = gguf.GGML_QUANT_SIZES[kind]
    blocks = random.integers(0, 256, (rows, columns // block, size), dtype=numpy.uint8)
    # float16 fields: the step between quants, and the least of a block where it has one.
    fields = {"Q4_0": [(0, 0.25)], "Q4_1": [(0, 0.25), (2, -2)], "Q5_0": [(0, 0.12)],
              "Q8_0": [(0, 0.015)], "Q4_K": [(0, 0.008), (2, 0.03)], "Q6_K": [(208, 0.002)]}
    for offset, factor in fields[kind.name]:
        half = numpy.frombuffer(numpy.float16(factor * scale).tobytes(), dtype=numpy.uint8)
        blocks[:, :, offset:offset + 2] = half
    return blocks.reshape(rows, -1)


def add_vocabulary(gguf, writer, size):
    """The bytes of GPT-2's alphabet, one merge, and words that no text becomes: some programs load
    no file without a vocabulary."""
    letters = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in letters]
    words = [chr(byte) for byte in letters] + [chr(256 + i) for i in range(len(others))] + ["ab"]
    words += [f"word{i}" for i in range(len(words), size)]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("llama-bpe")
    writer.add_token_list(words)
    # OpenVINO loads no file without control tokens.
    writer.add_token_types([gguf.TokenType.NORMAL] * (size - 2) + [gguf.TokenType.CONTROL] * 2)
    writer.add_token_merges(["a b"])
    writer.add_bos_token_id(size - 2)
    writer.add_eos_token_id(size - 1)


def write_gguf(config, output, encoding, seed=1):
    """A file of architecture llama, every matrix in `encoding`."""
    import gguf
    import numpy
    if config["architectures"] != ["LlamaForCausalLM"]:
        sys.exit("gguf: found a shape that is no dense Llama, expected one; use compile.")
    name = {"bfloat16": "bf16", "float32": "f32"}.get(encoding, encoding).upper()
    if name not in gguf.GGMLQuantizationType.__members__:
        sys.exit(f"gguf: found the encoding {encoding}, expected one that such files have; use compile.")
    kind = gguf.GGMLQuantizationType[name]
    hidden, inner, dim = (config[f] for f in ("hidden_size", "intermediate_size", "head_dim"))
    writer = gguf.GGUFWriter(str(output), "llama")
    writer.add_name(f"made up, random:{seed}")
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(hidden)
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_feed_forward_length(inner)
    writer.add_head_count(config["num_attention_heads"])
    writer.add_head_count_kv(config["num_key_value_heads"])
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    writer.add_rope_freq_base(config["rope_theta"])
    writer.add_rope_dimension_count(dim)
    writer.add_vocab_size(config["vocab_size"])
    types = {"F32": "ALL_F32", "Q4_K": "MOSTLY_Q4_K_S"}
    writer.add_file_type(gguf.LlamaFileType[types.get(name, f"MOSTLY_{name}")])
    add_vocabulary(gguf, writer, config["vocab_size"])
    queries, keys = (config[f] * dim for f in ("num_attention_heads", "num_key_value_heads"))
    matrices = {"token_embd": (config["vocab_size"], hidden)}
    if not config["tie_word_embeddings"]:
        matrices["output"] = matrices["token_embd"]
    for i in range(config["num_hidden_layers"]):
        for name, rows, columns in (
                ("attn_q", queries, hidden), ("attn_k", keys, hidden), ("attn_v", keys, hidden),
                ("attn_output", hidden, queries), ("ffn_gate", inner, hidden),
                ("ffn_up", inner, hidden), ("ffn_down", hidden, inner)):
            matrices[f"blk.{i}.{name}"] = (rows, columns)
        for name in ("attn_norm", "ffn_norm"):
            writer.add_tensor(f"blk.{i}.{name}.weight", numpy.ones(hidden, numpy.float32))
    writer.add_tensor("output_norm.weight", numpy.ones(hidden, numpy.float32))
    for number, (name, (rows, columns)) in enumerate(matrices.items()):
        writer.add_tensor(f"{name}.weight", random_rows(numpy, kind, rows, columns, [seed, number]),
                          raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def main():
    words = sys.argv[1:]
    own = words.index("--") if "--" in words else len(words)
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("list")
    for name in ("compile", "config", "gguf"):
        command = commands.add_parser(name)
        command.add_argument("shape", choices=sorted(SHAPES))
        command.add_argument("--layers", type=int)
        if name != "config":
            command.add_argument("-o", "--output", type=pathlib.Path, required=True)
            command.add_argument("--encoding", default=None if name == "compile" else "q4_0")
            command.add_argument("--seed", type=int, default=1)
        if name == "compile":
            command.add_argument("--bin", type=pathlib.Path, default=ROOT / "build/bin")
    options = parser.parse_args(words[:own])
    if options.command == "list":
        for name, config in SHAPES.items():
            text = text_of(config)
            print(f"{name}: {text['num_hidden_layers']} layers of width {text['hidden_size']}, "
                  f"vocabulary {text['vocab_size']}")
        return
    changes = {"num_hidden_layers": options.layers} if options.layers else {}
    config = shape(options.shape, **changes)
    if options.command == "config":
        print(json.dumps(config, indent=1))
    elif options.command == "compile":
        compile_config(config, options.output, options.bin / "llama4-compile", options.encoding,
                       options.seed, words[own + 1:])
    else:
        write_gguf(config, options.output, options.encoding, options.seed)


if __name__ == "__main__":
    main()
