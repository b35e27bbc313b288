"""The configuration of `llama3.2-vision-demo`, its initial weights, its inputs, how it is saved.

The layout is that of the published Llama 3.2 Vision checkpoints; only the sizes differ. A patch of
28 pixels is a cell of the scenes, so that a picture of 84 pixels, four tiles of it, absent ones
included, is 64 rows for the tower.
"""
import contextlib

import torch
from transformers import MllamaConfig, MllamaForConditionalGeneration

import folder
import scenes
import vocabulary

PATCH = 28
TILES = 4
RATIOS = [[1, 1], [1, 2], [1, 3], [1, 4], [2, 1], [2, 2], [3, 1], [4, 1]]
TOKENS = vocabulary.Tokens(
    vocabulary.SPECIAL_3, begin="<|begin_of_text|>", start="<|start_header_id|>",
    stop="<|end_header_id|>", end="<|eot_id|>", pad="<|finetune_right_pad_id|>", image="<|image|>")
MEAN, STD = [0.48145466, 0.4578275, 0.40821073], [0.26862954, 0.26130258, 0.27577711]

PREPROCESSOR = {
    "image_processor_type": "MllamaImageProcessor", "processor_class": "MllamaProcessor",
    "do_convert_rgb": True, "do_resize": True, "do_rescale": True, "do_normalize": True,
    "do_pad": True, "image_mean": MEAN, "image_std": STD, "rescale_factor": 1 / 255,
    "max_image_tiles": TILES, "resample": 2,
    "size": {"height": scenes.SIDE, "width": scenes.SIDE},
}


def configuration():
    ends = [TOKENS.special(s) for s in ("<|end_of_text|>", "<|eom_id|>", "<|eot_id|>")]
    text = dict(
        vocab_size=vocabulary.SIZE, hidden_size=256, num_hidden_layers=5, num_attention_heads=4,
        num_key_value_heads=2, intermediate_size=512, cross_attention_layers=[1, 3],
        max_position_embeddings=16384, rms_norm_eps=1e-5, tie_word_embeddings=False,
        rope_parameters={"rope_type": "llama3", "rope_theta": 500000.0, "factor": 8.0,
                         "low_freq_factor": 1.0, "high_freq_factor": 4.0,
                         "original_max_position_embeddings": 8192},
        bos_token_id=TOKENS.begin, eos_token_id=ends, pad_token_id=TOKENS.pad)
    vision = dict(
        hidden_size=256, num_hidden_layers=2, num_global_layers=1, attention_heads=4,
        intermediate_size=512, image_size=scenes.SIDE, patch_size=PATCH, max_num_tiles=TILES,
        supported_aspect_ratios=RATIOS, intermediate_layers_indices=[1], vision_output_dim=512)
    return MllamaConfig(text_config=text, vision_config=vision, tie_word_embeddings=False,
                        image_token_index=TOKENS.image,
                        architectures=["MllamaForConditionalGeneration"])


def aspect_ratio(rows, columns):
    """The id of a picture's aspect ratio; 0 would be no picture."""
    return 1 + RATIOS.index([rows, columns])


# --- weights --------------------------------------------------------------------------------------

@torch.no_grad()
def initialise(model, seed):
    """Weights by fan-in, half of it for what is added to the residual stream, places as large as
    what they are added to. Gates, which begin closed where a text model learns to see, begin open.
    What only absent tiles take from the tables of places is zero and stays so, see `Forward`."""
    generator = torch.Generator().manual_seed(seed)

    def normal(p, std):
        p.copy_(torch.randn(p.shape, generator=generator) * std)

    for name, p in model.named_parameters():
        if name.endswith("bias"):
            p.zero_()
        elif "gate" in name.rsplit(".", 1)[-1]:
            p.fill_(1.0 if "cross_attn" in name else 0.5)
        elif "norm" in name:
            p.fill_(1)
        elif "tile_positional" in name or "tile_embedding" in name:
            normal(p, 0.5)
            of_tiles = p.view(len(p), TILES, -1)
            of_tiles[0] = 0
            for ratio, (rows, columns) in enumerate(RATIOS, 1):
                of_tiles[ratio, rows * columns:] = 0
        elif name.endswith(("embed_tokens.weight", "class_embedding",
                            "gated_positional_embedding.embedding")):
            normal(p, 0.5)
        else:
            residual = name.endswith(("o_proj.weight", "down_proj.weight", "mlp.fc2.weight"))
            normal(p, p[0].numel() ** -0.5 * (0.5 if residual else 1))


def create(seed):
    """A float32 model with the initial weights of a seed."""
    model = MllamaForConditionalGeneration(configuration())
    initialise(model, seed)
    return model


def save(state, place):
    """Writes the folder: `state` are float32 weights by name, stored as bfloat16."""
    model = MllamaForConditionalGeneration(configuration())
    model.load_state_dict(state, strict=True)
    folder.save(model, TOKENS, place, PREPROCESSOR, "MllamaProcessor")


# --- inputs ---------------------------------------------------------------------------------------

def normalise(pictures):
    """u8[N, S, S, 3] to f32[N, 3, S, S], as Mllama's image processor."""
    x = torch.from_numpy(pictures).permute(0, 3, 1, 2).float() * (1 / 255)
    mean, std = (torch.tensor(of)[:, None, None] for of in (MEAN, STD))
    return ((x - mean) / std).contiguous()


def placeholders(rows, columns):
    """The ids that stand for a picture: one, whatever its tiles."""
    return [TOKENS.image]


def tiles(images, of_images):
    """Of tiles in Llama 4's order (all images', where there are several the whole picture last)
    those that this family sees: not the whole picture."""
    result, start = [], 0
    for rows, columns in images:
        count = rows * columns
        result += of_images[start:start + count]
        start += count + (count > 1)
    return result


def inputs(ids, pixels, shapes):
    """transformers' inputs of conversations i64[B, T] with pictures of the same shapes; pixels
    f32[B * tiles, 3, S, S] or None."""
    if pixels is None:
        return {"input_ids": ids}
    counts = [rows * columns for rows, columns in shapes]
    b, n = len(ids), len(shapes)
    values = pixels.new_zeros(b, n, TILES, *pixels.shape[1:])
    there = torch.zeros(b, n, TILES, dtype=torch.int64)
    of_picture = pixels.view(b, -1, *pixels.shape[1:]).split(counts, 1)
    for i, found in enumerate(of_picture):
        values[:, i, :counts[i]] = found
        there[:, i, :counts[i]] = 1
    ratios = torch.tensor([[aspect_ratio(*shape) for shape in shapes]] * b)
    marks = (ids == TOKENS.image).cumsum(1)  # pictures all stand at the beginning, one by one
    sees = (marks[..., None] > torch.arange(n)).long()
    return {"input_ids": ids, "pixel_values": values, "aspect_ratio_ids": ratios,
            "aspect_ratio_mask": there, "cross_attention_mask": sees[..., None] * there[:, None]}


@contextlib.contextmanager
def follow_meta(model):
    """Within it transformers' model computes what Meta's code does, with which the published
    weights were trained, where transformers 5.23 does not: intermediate features are the inputs of
    the layers named, not their outputs, and cross-attention adds nothing to a row before the first
    picture."""
    tower = model.model.vision_model
    before = tower.intermediate_layers_indices
    tower.intermediate_layers_indices = [i - 1 for i in before]
    hooks = []
    for layer in model.model.language_model.layers:
        if hasattr(layer, "cross_attn"):
            hooks += _zero_before_pictures(layer)
    try:
        yield model
    finally:
        tower.intermediate_layers_indices = before
        for hook in hooks:
            hook.remove()


def _zero_before_pictures(layer):
    some = [None]

    def remember(_, args, kwargs):
        some[0] = kwargs["full_text_row_masked_out_mask"]

    def zero(_, args, output):
        return output if some[0] is None else (some[0][:, 0] * output[0], *output[1:])

    return [layer.register_forward_pre_hook(remember, with_kwargs=True),
            layer.cross_attn.register_forward_hook(zero)]
