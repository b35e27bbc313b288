"""The configuration of `llama4-demo`, its initial weights, its inputs, how it is saved.

The layout is that of the published Llama 4 checkpoints; only the sizes differ. 5,939,456 parameters
are 11.9 MB in bfloat16. Hidden widths are multiples of 256, so that blocks of 256 (q4_k) fit.
"""
import torch
from transformers import Llama4Config, Llama4ForConditionalGeneration

import folder
import scenes
import vocabulary

PATCH = 14
IMAGE_TOKENS = (scenes.SIDE // PATCH // 2) ** 2  # a tile's, after the pixel shuffle
TOKENS = vocabulary.Tokens(
    vocabulary.SPECIAL, begin="<|begin_of_text|>", start="<|header_start|>",
    stop="<|header_end|>", end="<|eot|>", pad="<|finetune_right_pad|>", image="<|patch|>")

PREPROCESSOR = {
    "image_processor_type": "Llama4ImageProcessorFast",
    "processor_class": "Llama4Processor",
    "do_convert_rgb": True, "do_resize": True, "do_rescale": True, "do_normalize": True,
    "image_mean": [0.5, 0.5, 0.5], "image_std": [0.5, 0.5, 0.5], "rescale_factor": 1 / 255,
    "max_patches": 16, "resample": 2, "resize_to_max_canvas": False,
    "size": {"height": scenes.SIDE, "width": scenes.SIDE},
}


def configuration():
    ends = [TOKENS.special(s) for s in ("<|end_of_text|>", "<|eom|>", "<|eot|>")]
    text = dict(
        vocab_size=vocabulary.SIZE, hidden_size=256, num_hidden_layers=4, num_attention_heads=4,
        num_key_value_heads=2, head_dim=64, intermediate_size=256, intermediate_size_mlp=512,
        num_local_experts=4, num_experts_per_tok=1, interleave_moe_layer_step=2,
        no_rope_layer_interval=2, use_qk_norm=True, attention_chunk_size=256,
        attn_temperature_tuning=True, floor_scale=8192, attn_scale=0.1,
        max_position_embeddings=4096, rms_norm_eps=1e-5, tie_word_embeddings=False,
        rope_parameters={"rope_type": "default", "rope_theta": 500000.0},
        bos_token_id=TOKENS.begin, eos_token_id=ends, pad_token_id=TOKENS.pad)
    vision = dict(
        hidden_size=256, num_hidden_layers=2, num_attention_heads=4, intermediate_size=1024,
        image_size=scenes.SIDE, patch_size=PATCH, pixel_shuffle_ratio=0.5, projector_input_dim=256,
        projector_output_dim=256, vision_output_dim=256,
        rope_parameters={"rope_type": "default", "rope_theta": 10000.0})
    return Llama4Config(
        text_config=text, vision_config=vision, tie_word_embeddings=False,
        boi_token_index=TOKENS.special("<|image_start|>"),
        eoi_token_index=TOKENS.special("<|image_end|>"), image_token_index=TOKENS.image,
        architectures=["Llama4ForConditionalGeneration"])


@torch.no_grad()
def initialise(model, seed):
    """Weights by fan-in, half of it for what is added to the residual stream. Embeddings of tokens
    and of places begin as large as what they are added to: with transformers' 1 / sqrt(hidden) a
    place is drowned by the picture."""
    generator = torch.Generator().manual_seed(seed)

    def normal(p, std):
        p.copy_(torch.randn(p.shape, generator=generator) * std)

    for name, p in model.named_parameters():
        if name.endswith("bias"):
            p.zero_()
        elif "norm" in name:
            p.fill_(1)
        elif name.endswith(("embed_tokens.weight", "positional_embedding_vlm", "class_embedding")):
            normal(p, 0.5)
        elif "experts.gate_up_proj" in name or "experts.down_proj" in name:
            normal(p, p.shape[1] ** -0.5 * (0.5 if "down" in name else 1))
        else:
            residual = name.endswith(("o_proj.weight", "down_proj.weight", "mlp.fc2.weight"))
            residual = residual and "vision_adapter" not in name
            normal(p, p.shape[-1] ** -0.5 * (0.5 if residual else 1))


def create(seed):
    """A float32 model with the initial weights of a seed."""
    model = Llama4ForConditionalGeneration(configuration())
    initialise(model, seed)
    return model


def save(state, place):
    """Writes the folder: `state` are float32 weights by name, stored as bfloat16."""
    model = Llama4ForConditionalGeneration(configuration())
    model.load_state_dict(state, strict=True)
    folder.save(model, TOKENS, place, PREPROCESSOR, "Llama4Processor", {
        "patch_size": PATCH, "image_token": "<|image|>", "fake_image_token": "<|image|>",
        "pixel_shuffle_ratio": 0.5})


# --- inputs ---------------------------------------------------------------------------------------

# What Llama 4's image processor makes of a byte: it scales and normalises in bfloat16.
LEVELS = (((torch.arange(256).to(torch.bfloat16) * (1 / 255)) - 0.5) / 0.5).float()


def normalise(pictures):
    """u8[N, S, S, 3] to f32[N, 3, S, S] in [-1, 1]."""
    return LEVELS[torch.from_numpy(pictures).permute(0, 3, 1, 2).long()].contiguous()


def placeholders(rows, columns):
    """The ids that stand for an image: tiles row by row, the whole image last."""
    token = TOKENS.special
    tile = [TOKENS.image] * IMAGE_TOKENS
    row = (tile + [token("<|tile_x_separator|>")]) * columns
    row[-1] = token("<|tile_y_separator|>")
    parts = row * rows if rows * columns > 1 else []
    return [token("<|image_start|>"), *parts, token("<|image|>"), *tile, token("<|image_end|>")]


def tiles(images, of_images):
    """Of the tiles of images those that this family sees: all."""
    return of_images


def inputs(ids, pixels, shapes):
    """transformers' inputs of conversations i64[B, T] with images of the same shapes; pixels
    f32[B * tiles, 3, S, S] or None."""
    return {"input_ids": ids} if pixels is None else {"input_ids": ids, "pixel_values": pixels}
