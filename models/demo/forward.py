"""Llama 4's forward pass for training on CPUs: the same numbers as transformers' model, sooner.

Works on the parameters of a Llama4ForConditionalGeneration by name. What differs from transformers:
a token runs through its own expert only (there: through all, times zero), the last layer computes
the rows alone whose logits are wanted, rotary pairs are halves of a head (queries' and keys' rows
are permuted alike, which no product of the two can tell), every prompt is shorter than an attention
chunk, and everything but norms and loss is bfloat16 where `half` says so. `check.py` compares.
"""
import torch
import torch.nn.functional as F

from layers import Pass, RmsNorm, attention, rotate


def rotary_rows(heads, size):
    """Rows of a projection so that pairs (2i, 2i + 1) become (i, i + size / 2)."""
    one = torch.cat([torch.arange(0, size, 2), torch.arange(1, size, 2)])
    return torch.cat([one + h * size for h in range(heads)])


class Forward(Pass):
    """The pass over a Llama4ForConditionalGeneration's parameters."""

    def __init__(self, model, half=True):
        super().__init__(model, half)
        text, vision = self.config.text_config, self.config.vision_config
        self.heads, self.groups, self.size = (text.num_attention_heads, text.num_key_value_heads,
                                              text.head_dim)
        self.query_rows = rotary_rows(self.heads, self.size)
        self.key_rows = rotary_rows(self.groups, self.size)
        self.vision_heads = vision.num_attention_heads
        self.vision_size = vision.hidden_size // vision.num_attention_heads
        self.vision_rows = rotary_rows(self.vision_heads, self.vision_size)
        table = model.vision_model.rotary_embedding._compute_freqs_ci(vision)
        self.vision_cos = table.real.to(self.type).clone()
        self.vision_sin = table.imag.to(self.type).clone()
        theta = text.rope_parameters["rope_theta"]
        frequency = theta ** (-torch.arange(0, self.size, 2).float() / self.size)
        angle = torch.arange(text.attention_chunk_size)[:, None, None] * frequency
        self.cos, self.sin = angle.cos().to(self.type), angle.sin().to(self.type)

    def load(self):
        super().load()
        for name in self.w:
            if name.startswith("vision_model.model") and (".q_proj." in name or
                                                          ".k_proj." in name):
                self.w[name] = self.w[name][self.vision_rows]
        for i in range(self.config.text_config.num_hidden_layers):
            if self.rope(i):
                at = f"language_model.model.layers.{i}.self_attn."
                self.w[at + "q_proj.weight"] = self.w[at + "q_proj.weight"][self.query_rows]
                self.w[at + "k_proj.weight"] = self.w[at + "k_proj.weight"][self.key_rows]

    def rope(self, layer):
        return bool(self.config.text_config.no_rope_layers[layer])

    def see(self, batch):
        """The features [P, tokens, hidden] of a batch's tiles; None if there are none."""
        return None if batch.pixels is None else self.image_features(batch.pixels)

    def answer(self, batch, features):
        """The logits f32[B, K, vocabulary] of a batch's rows."""
        features = None if features is None else features.flatten(0, 1)
        return self.logits(batch.ids, features, batch.marks, batch.rows)

    # --- the tower ---

    def image_features(self, pixels):
        """Pixels f32[N, 3, S, S] to rows [N, tokens, hidden] of the text model."""
        config = self.config.vision_config
        n, patch = pixels.shape[0], config.patch_size
        grid = config.image_size // patch
        x = pixels.to(self.type).view(n, 3, grid, patch, grid, patch)
        x = x.permute(0, 2, 4, 1, 3, 5).reshape(n, grid * grid, -1)
        x = self.linear(x, "vision_model.patch_embedding.linear")
        last = self.w["vision_model.class_embedding"].to(self.type).expand(n, 1, -1)
        x = torch.cat([x, last], 1) + self.w["vision_model.positional_embedding_vlm"]
        x = self.layer_norm(x, "vision_model.layernorm_pre")
        for i in range(config.num_hidden_layers):
            x = self.vision_layer(x, f"vision_model.model.layers.{i}.")
        x = self.layer_norm(x, "vision_model.layernorm_post")[:, :-1]
        x = x.view(n, grid // 2, 2, grid // 2, 2, -1).permute(0, 1, 3, 2, 4, 5)
        x = x.reshape(n, (grid // 2) ** 2, -1)
        x = F.gelu(self.linear(x, "vision_model.vision_adapter.mlp.fc1"))
        x = F.gelu(self.linear(x, "vision_model.vision_adapter.mlp.fc2"))
        return self.linear(x, "multi_modal_projector.linear_1")

    def vision_layer(self, x, at):
        n, t, _ = x.shape
        y = self.layer_norm(x, at + "input_layernorm")
        q, k, v = (self.linear(y, f"{at}self_attn.{p}_proj")
                   .view(n, t, self.vision_heads, self.vision_size) for p in "qkv")
        q, k = (rotate(z, self.vision_cos, self.vision_sin).transpose(1, 2) for z in (q, k))
        y = attention(q, k, v.transpose(1, 2))
        x = x + self.linear(y.transpose(1, 2).reshape(n, t, -1), at + "self_attn.o_proj")
        y = self.layer_norm(x, at + "post_attention_layernorm")
        return x + self.vision_mlp(y, at + "mlp.")

    # --- text ---

    def logits(self, ids, features, patches, rows):
        """ids i64[B, T]; features [P, hidden] for the True places of patches bool[B, T]; the logits
        f32[B, K, vocabulary] of rows i64[B, K]."""
        x = F.embedding(ids, self.w["language_model.model.embed_tokens.weight"])
        if features is not None:
            x = x.masked_scatter(patches[..., None], features)
        self.balance, self.behind = [], []
        layers = self.config.text_config.num_hidden_layers
        for i in range(layers):
            x = self.layer(x, i, rows if i == layers - 1 else None)
            self.behind.append(x)
        x = self.rms_norm(x, "language_model.model.norm")
        return self.linear(x, "language_model.lm_head").float()

    def layer(self, x, i, rows):
        at = f"language_model.model.layers.{i}."
        y = self.rms_norm(x, at + "input_layernorm")
        b, t, hidden = y.shape
        chosen = y
        if rows is not None:
            index = rows[..., None].expand(-1, -1, hidden)
            chosen, x = y.gather(1, index), x.gather(1, index)
        q = self.linear(chosen, at + "self_attn.q_proj").view(b, -1, self.heads, self.size)
        k = self.linear(y, at + "self_attn.k_proj").view(b, t, self.groups, self.size)
        v = self.linear(y, at + "self_attn.v_proj").view(b, t, self.groups, self.size)
        if self.rope(i):
            if rows is not None:
                raise ValueError("the last layer must have no rotary positions")
            cos, sin = self.cos[:t], self.sin[:t]
            q, k = rotate(q, cos, sin), rotate(k, cos, sin)
            q, k = (RmsNorm.apply(z, 1e-5) for z in (q, k))
        q, k, v = (z.transpose(1, 2) for z in (q, k, v))
        if rows is None:
            mask = torch.full((t, t), float("-inf"), dtype=x.dtype).triu(1)
        else:
            unseen = torch.arange(t) > rows[..., None]
            mask = torch.zeros(unseen.shape, dtype=x.dtype).masked_fill_(unseen, float("-inf"))
            mask = mask[:, None, None]
        y = attention(q, k, v, mask)
        x = x + self.linear(y.transpose(1, 2).reshape(b, -1, self.heads * self.size),
                            at + "self_attn.o_proj")
        y = self.rms_norm(x, at + "post_attention_layernorm")
        mixture = i in self.config.text_config.moe_layers
        y = self.mixture(y, at + "feed_forward.") if mixture else self.mlp(y, at + "feed_forward.")
        return x + y

    def mixture(self, x, at):
        shape = x.shape
        x = x.reshape(-1, shape[-1])
        routes = self.linear(x, at + "router").float()
        best, expert = routes.max(-1)
        share = F.one_hot(expert, routes.shape[-1]).float().mean(0)
        self.balance.append(routes.shape[-1] * (share * routes.softmax(-1).mean(0)).sum())
        scaled = x * best.sigmoid()[:, None].to(x.dtype)
        order = expert.argsort()
        parts = scaled[order].split(expert.bincount(minlength=routes.shape[-1]).tolist())
        gates, downs = self.w[at + "experts.gate_up_proj"], self.w[at + "experts.down_proj"]
        results = []
        for e, part in enumerate(parts):
            gate, up = (part @ gates[e]).chunk(2, -1)
            results.append((F.silu(gate) * up) @ downs[e])
        y = self.mlp(x, at + "shared_expert.")
        return y.index_add(0, order, torch.cat(results)).view(shape)
