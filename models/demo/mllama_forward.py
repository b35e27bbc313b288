"""Llama 3.2 Vision's forward pass for training on CPUs, with the semantics of Meta's code.

Works on the parameters of a MllamaForConditionalGeneration by name. What differs from transformers:

- The unit of the tower is a picture of four tiles, absent ones included: its real rows see them.
  Nearly all pictures here have one tile. Absent tiles hold the same three times (`checkpoint` keeps
  the places of absent tiles zero), and rows that fill up a tile are equal to each other; so of the
  64 rows 22 are computed, and a row that stands for n has log n added to its score as a key.
- The last layer of each half computes the rows alone that are wanted.
- Everything but norms and loss is bfloat16 where `half` says so.

`check.py` compares with transformers as `mllama_checkpoint.follow_meta` corrects it.
"""
import torch
import torch.nn.functional as F

import mllama_checkpoint as checkpoint
from layers import Pass, RmsNorm, attention, rotate

TOWER, TEXT = "model.vision_model.", "model.language_model."


class Forward(Pass):
    """The pass over a MllamaForConditionalGeneration's parameters."""

    def __init__(self, model, half=True):
        super().__init__(model, half)
        text, vision = self.config.text_config, self.config.vision_config
        self.heads, self.groups = text.num_attention_heads, text.num_key_value_heads
        self.size = text.hidden_size // self.heads
        self.vision_heads = vision.attention_heads
        self.tiles = vision.max_num_tiles
        self.rows = (vision.image_size // vision.patch_size) ** 2 + 1  # of a tile
        self.fill = -self.rows % 8
        frequency = model.model.language_model.rotary_emb.inv_freq
        angle = torch.arange(1024)[:, None, None] * frequency
        self.cos, self.sin = angle.cos().to(self.type), angle.sin().to(self.type)
        one = torch.ones(self.rows)
        counts = torch.cat([one, (self.tiles - 1) * one,
                            torch.tensor([1.0, self.tiles - 1]) * self.fill])
        score = counts.log().expand(len(counts), -1).clone()
        score[self.rows:, self.rows:] = float("-inf")
        self.single_score = score.to(self.type)

    # --- the tower ---

    def see(self, batch):
        """The features [P, rows, hidden] of a batch's tiles; None if there are none."""
        return None if batch.pixels is None else self.image_features(batch.pixels, batch.shapes)

    def image_features(self, pixels, shapes=None):
        """Pixels f32[P, 3, S, S] of all tiles and the (rows, columns) of each picture, if any has
        several, to the rows [P, rows, hidden] of the tiles that there are."""
        x = self.patches(pixels)
        if shapes is None or len(shapes) == len(x):
            return self.single(x)
        counts = [rows * columns for rows, columns in shapes]
        starts = [sum(counts[:i]) for i in range(len(counts))]
        result = [None] * len(shapes)
        for shape in sorted(set(shapes)):
            members = [i for i, other in enumerate(shapes) if other == shape]
            tiles = [x[starts[i]:starts[i] + counts[i]] for i in members]
            one = counts[members[0]] == 1
            found = self.single(torch.cat(tiles)) if one else \
                self.whole(torch.stack(tiles), checkpoint.aspect_ratio(*shape))
            for k, i in enumerate(members):
                result[i] = found[k:k + 1] if one else found[k]
        return torch.cat(result)

    def patches(self, pixels):
        """The patch convolution: [P, rows - 1, width]."""
        n, patch = pixels.shape[0], self.config.vision_config.patch_size
        grid = self.config.vision_config.image_size // patch
        x = pixels.to(self.type).view(n, 3, grid, patch, grid, patch)
        x = x.permute(0, 2, 4, 1, 3, 5).reshape(n, grid * grid, -1)
        return x @ self.w[TOWER + "patch_embedding.weight"].flatten(1).T

    def gate(self, name):
        return self.w[name].tanh().to(self.type)

    def place(self, x, ratio, tile):
        """Patches [..., rows - 1, width] of a tile as normed rows with the class token first."""
        at = TOWER + "gated_positional_embedding."
        x = x + self.tile_place("pre", ratio)[tile]
        first = self.w[TOWER + "class_embedding"].to(self.type).expand(*x.shape[:-2], 1, -1)
        gate = self.gate(at + "gate")
        of_tile = self.w[at + "tile_embedding.weight"][ratio].view(self.tiles, self.rows, -1)[tile]
        place = (1 - gate) * self.w[at + "embedding"] + gate * of_tile
        return self.layer_norm(torch.cat([first, x], -2) + place, TOWER + "layernorm_pre")

    def tile_place(self, which, ratio):
        """What is added to the rows of each tile, [tiles, width]."""
        at = f"{TOWER}{which}_tile_positional_embedding."
        return self.gate(at + "gate") * self.w[at + "embedding.weight"][ratio].view(self.tiles, -1)

    def single(self, x):
        """Pictures of one tile: patches [N, rows - 1, width] to projected rows [N, rows, hidden].
        Computes the tile, one absent tile and two filling rows (of the tile, of an absent one)."""
        n, rows = len(x), self.rows
        ratio = checkpoint.aspect_ratio(1, 1)
        absent = self.place(torch.zeros_like(x[0]), ratio, 1)
        x = torch.cat([self.place(x, ratio, 0), absent.expand(n, -1, -1),
                       x.new_zeros(n, 2, x.shape[-1])], 1)
        of_tile = self.tile_place("post", ratio)
        tile = torch.tensor([0] * rows + [1] * rows + [0, 1])
        return self.tower(x, of_tile[tile], self.single_score, slice(rows))

    def whole(self, x, ratio):
        """Pictures [N, tiles there, rows - 1, width] of one aspect ratio, all rows computed."""
        n, there = x.shape[:2]
        width = x.shape[-1]
        tiles = [x[:, i] if i < there else torch.zeros_like(x[:, 0]) for i in range(self.tiles)]
        x = torch.stack([self.place(tile, ratio, i) for i, tile in enumerate(tiles)], 1)
        x = F.pad(x, (0, 0, 0, self.fill)).view(n, -1, width)
        real = (torch.arange(self.tiles) < there)[:, None] & \
            (torch.arange(self.rows + self.fill) < self.rows)
        real = real.flatten()
        score = torch.zeros(len(real), len(real), dtype=self.type)
        score.masked_fill_(~(real[:, None] | real), float("-inf"))
        of_tile = self.tile_place("post", ratio).repeat_interleave(self.rows + self.fill, 0)
        return self.tower(x, of_tile, score, real.nonzero()[:, 0]).view(n, there, self.rows, -1)

    def tower(self, x, of_tile, score, wanted):
        """Both transformers and the projector: rows [N, R, width] to the wanted ones."""
        vision, between = self.config.vision_config, []
        for i in range(vision.num_hidden_layers):
            between.append(x[:, wanted])
            x = self.vision_layer(x, f"{TOWER}transformer.layers.{i}.", score)
        x = self.layer_norm(x, TOWER + "layernorm_post") + of_tile
        for i in range(vision.num_global_layers):
            last = wanted if i == vision.num_global_layers - 1 else None
            x = self.vision_layer(x, f"{TOWER}global_transformer.layers.{i}.", score, last)
        between = torch.stack([between[i] for i in vision.intermediate_layers_indices], -1)
        return self.linear(torch.cat([x, between.flatten(-2)], -1), "model.multi_modal_projector")

    def vision_layer(self, x, at, score, wanted=None):
        """A layer, with gates if it has any; of the rows `wanted` alone, if given."""
        y = self.layer_norm(x, at + "input_layernorm")
        chosen = y
        if wanted is not None:
            x, chosen, score = x[:, wanted], y[:, wanted], score[wanted]
        q, k, v = (self.linear(z, f"{at}self_attn.{p}_proj")
                   .unflatten(-1, (self.vision_heads, -1)).transpose(1, 2)
                   for p, z in zip("qkv", (chosen, y, y)))
        y = attention(q, k, v, score)
        y = self.linear(y.transpose(1, 2).flatten(2), at + "self_attn.o_proj")
        gated = at + "gate_attn" in self.w
        x = x + (y * self.gate(at + "gate_attn") if gated else y)
        y = self.vision_mlp(self.layer_norm(x, at + "post_attention_layernorm"), at + "mlp.")
        return x + (y * self.gate(at + "gate_ffn") if gated else y)

    # --- text ---

    def answer(self, batch, features):
        """The logits f32[B, K, vocabulary] of a batch's rows."""
        x = F.embedding(batch.ids, self.w[TEXT + "embed_tokens.weight"])
        pictures = None if features is None else self.pictures(batch, features)
        self.behind = []
        text = self.config.text_config
        for i in range(text.num_hidden_layers):
            rows = batch.rows if i == text.num_hidden_layers - 1 else None
            if i not in text.cross_attention_layers:
                x = self.layer(x, f"{TEXT}layers.{i}.", rows)
            elif pictures is not None:
                x = self.cross_layer(x, f"{TEXT}layers.{i}.", *pictures)
            self.behind.append(x)
        return self.linear(self.rms_norm(x, TEXT + "norm"), "lm_head").float()

    def pictures(self, batch, features):
        """What the layers of cross-attention take: the features of conversations [B, S, hidden],
        what is added to scores at them [B, 1, 1, T, S], and which rows see any [B, T, 1]."""
        places = [mark.nonzero()[:, 0].tolist() for mark in batch.marks]
        counts = [rows * columns for rows, columns in batch.shapes]
        owner, tile, picture = [], 0, 0  # of each conversation's tiles: the place of their mark
        first = []
        for of in places:
            mine = counts[picture:picture + len(of)]
            owner.append([place for place, count in zip(of, mine) for _ in range(count)])
            first.append(tile)
            tile, picture = tile + sum(mine), picture + len(of)
        most = max(len(of) for of in owner)
        index = torch.tensor([[start + min(k, max(len(of) - 1, 0)) for k in range(most)]
                              for start, of in zip(first, owner)]).clamp(max=len(features) - 1)
        seen = torch.tensor([of + [10 ** 6] * (most - len(of)) for of in owner])
        seen = seen.repeat_interleave(self.rows, 1)[:, None]
        sees = seen <= torch.arange(batch.ids.shape[1])[:, None]  # [B, T, S]
        some = sees.any(-1, keepdim=True)
        score = torch.zeros(sees.shape, dtype=self.type).masked_fill_(~sees & some, float("-inf"))
        return features[index].flatten(1, 2), score[:, None, None], some.to(self.type)

    def split(self, x, heads):
        return x.unflatten(-1, (heads, self.size))

    def cross_layer(self, x, at, pictures, score, some):
        y = self.rms_norm(x, at + "input_layernorm")
        name = at + "cross_attn."
        q = self.rms_norm(self.split(self.linear(y, name + "q_proj"), self.heads), name + "q_norm")
        k = self.rms_norm(self.split(self.linear(pictures, name + "k_proj"), self.groups),
                          name + "k_norm")
        v = self.split(self.linear(pictures, name + "v_proj"), self.groups)
        y = attention(*(z.transpose(1, 2) for z in (q, k, v)), score)
        y = self.linear(y.transpose(1, 2).flatten(2), name + "o_proj")
        x = x + y * (some * self.gate(at + "cross_attn_attn_gate"))
        y = self.mlp(self.rms_norm(x, at + "post_attention_layernorm"), at + "mlp.")
        return x + y * (some * self.gate(at + "cross_attn_mlp_gate"))

    def layer(self, x, at, rows):
        """A layer of self-attention; of the rows i64[B, K] alone, if given."""
        y = self.rms_norm(x, at + "input_layernorm")
        t, chosen = y.shape[1], y
        cos, sin = self.cos[:t], self.sin[:t]
        mask = torch.full((t, t), float("-inf"), dtype=x.dtype).triu(1)
        query = cos, sin
        if rows is not None:
            index = rows[..., None].expand(-1, -1, y.shape[-1])
            chosen, x = y.gather(1, index), x.gather(1, index)
            query = cos[rows], sin[rows]
            mask = mask[rows][:, None, None]
        q = rotate(self.split(self.linear(chosen, at + "self_attn.q_proj"), self.heads), *query)
        k = rotate(self.split(self.linear(y, at + "self_attn.k_proj"), self.groups), cos, sin)
        v = self.split(self.linear(y, at + "self_attn.v_proj"), self.groups)
        y = attention(*(z.transpose(1, 2) for z in (q, k, v)), mask)
        x = x + self.linear(y.transpose(1, 2).flatten(2), at + "self_attn.o_proj")
        return x + self.mlp(self.rms_norm(x, at + "post_attention_layernorm"), at + "mlp.")
