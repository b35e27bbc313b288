"""Begins `llama3.2-vision-demo` with what carries over from a training state of `llama4-demo`.

These are the words (embedding, head, the last norm), the two layers of self-attention that have the
same place and sizes in both, and the throw-away heads on words, so that what is between the layers
begins in the same terms. The tower and cross-attention are learned anew. Two things differ inside a
layer: rotary pairs are halves of a head, not neighbours, so that rows of queries and keys change
their order; and queries and keys have no norm here, so that their rows are scaled to what the norm
would leave on average.
"""
import torch

import checkpoint
import mllama_checkpoint
import vocabulary
from forward import rotary_rows

LAYERS = (0, 2)  # dense, with rotary positions, in both
SPECIAL = {  # Llama 3's name of a special token: Llama 4's
    "<|begin_of_text|>": "<|begin_of_text|>", "<|end_of_text|>": "<|end_of_text|>",
    "<|start_header_id|>": "<|header_start|>", "<|end_header_id|>": "<|header_end|>",
    "<|eom_id|>": "<|eom|>", "<|eot_id|>": "<|eot|>", "<|image|>": "<|image|>"}


@torch.no_grad()
def start(model, heads, path):
    """Fills a MllamaForConditionalGeneration and its heads.Heads from the state at `path`."""
    state = torch.load(path, weights_only=True)
    names = [name for name, _ in checkpoint.create(0).named_parameters()]
    old = dict(zip(names, state["mean"]))
    new = dict(model.named_parameters())
    at = "model.language_model."
    words(new[at + "embed_tokens.weight"], old["language_model.model.embed_tokens.weight"])
    words(new["lm_head.weight"], old["language_model.lm_head.weight"])
    new[at + "norm.weight"].copy_(old["language_model.model.norm.weight"])
    for i in LAYERS:
        layer(model.config.text_config, new, f"{at}layers.{i}.", old,
              f"language_model.model.layers.{i}.")
    for name, p in heads.named_parameters():
        if not name.startswith("image."):
            p.copy_(state["heads"][name])


def words(new, old):
    """Copies the rows of the byte pairs and of the special tokens that both have."""
    new[:vocabulary.BASE] = old[:vocabulary.BASE]
    for mine, theirs in SPECIAL.items():
        row = mllama_checkpoint.TOKENS.special(mine)
        if row < len(new):
            new[row] = old[checkpoint.TOKENS.special(theirs)]


def layer(text, new, at, old, old_at):
    size = text.hidden_size // text.num_attention_heads
    for name in ("input_layernorm", "post_attention_layernorm"):
        new[f"{at}{name}.weight"].copy_(old[f"{old_at}{name}.weight"])
    for name in ("gate_proj", "up_proj", "down_proj"):
        new[f"{at}mlp.{name}.weight"].copy_(old[f"{old_at}feed_forward.{name}.weight"])
    for name in ("v_proj", "o_proj"):
        new[f"{at}self_attn.{name}.weight"].copy_(old[f"{old_at}self_attn.{name}.weight"])
    for name, heads in (("q_proj", text.num_attention_heads), ("k_proj", text.num_key_value_heads)):
        rows = old[f"{old_at}self_attn.{name}.weight"][rotary_rows(heads, size)]
        seen = (rows * old[old_at + "input_layernorm.weight"]).unflatten(0, (heads, size))
        scale = seen.square().sum(-1).mean(-1).rsqrt()
        new[f"{at}self_attn.{name}.weight"].copy_(rows * scale.repeat_interleave(size)[:, None])
