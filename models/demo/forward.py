"""Llama 4's forward pass for training on CPUs: the same numbers as transformers' model, sooner.

Works on the parameters of a Llama4ForConditionalGeneration by name. What differs from transformers:
a token runs through its own expert only (there: through all, times zero), the last layer computes
the rows alone whose logits are wanted, rotary pairs are halves of a head (queries' and keys' rows
are permuted alike, which no product of the two can tell), every prompt is shorter than an attention
chunk, and everything but norms and loss is bfloat16 where `half` says so. `check()` compares.
"""
import torch
import torch.nn.functional as F


def rotary_rows(heads, size):
    """Rows of a projection so that pairs (2i, 2i + 1) become (i, i + size / 2)."""
    one = torch.cat([torch.arange(0, size, 2), torch.arange(1, size, 2)])
    return torch.cat([one + h * size for h in range(heads)])


def rotate(x, cos, sin):
    """x [B, T, heads, size]; cos and sin [T, 1, size / 2]."""
    a, b = x.chunk(2, -1)
    return torch.cat([a * cos - b * sin, a * sin + b * cos], -1)


class RmsNorm(torch.autograd.Function):
    """x / sqrt(mean(x^2) + eps) over the last dimension, with few passes over memory."""

    @staticmethod
    def forward(ctx, x, eps):
        square = torch.linalg.vector_norm(x, dim=-1, keepdim=True, dtype=torch.float32).square_()
        scale = torch.rsqrt(square.div_(x.shape[-1]).add_(eps)).to(x.dtype)
        y = x * scale
        ctx.save_for_backward(y, scale)
        return y

    @staticmethod
    def backward(ctx, gradient):
        y, scale = ctx.saved_tensors
        along = (gradient * y).mean(-1, keepdim=True)
        return torch.addcmul(gradient, y, along, value=-1).mul_(scale), None


def attention(q, k, v, mask=None):
    """q [B, H, T, D]; k, v [B, G, S, D] with H a multiple of G; mask is added, [T, S] or
    [B, 1, 1, T, S]. Plain products: for such short sequences torch's fused kernel takes three times
    as long (measured: 32 against 11 ms forwards and backwards)."""
    b, heads, t, size = q.shape
    groups, s = k.shape[1], k.shape[2]
    score = (q.reshape(b, groups, -1, size) * size ** -0.5) @ k.transpose(2, 3)
    if mask is not None:
        score = (score.view(b, groups, heads // groups, t, s) + mask).view(b, groups, -1, s)
    return (score.softmax(-1) @ v).view(b, heads, t, size)


class Forward:
    """The pass over a model's parameters. Call `load()` before each step: it makes the copies that
    the step computes with, differentiable with respect to the model's parameters."""

    def __init__(self, model, half=True):
        self.config, self.model = model.config, model
        self.type = torch.bfloat16 if half else torch.float32
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
        self.balance = []  # a penalty for each mixture of the last step

    def load(self):
        self.w = {}
        for name, p in self.model.named_parameters():
            p = p.to(self.type) if p.dim() > 1 else p
            if name.startswith("vision_model.model") and ".q_proj." in name + "." or \
                    name.startswith("vision_model.model") and ".k_proj." in name + ".":
                p = p[self.vision_rows]
            self.w[name] = p
        for i in range(self.config.text_config.num_hidden_layers):
            if self.rope(i):
                at = f"language_model.model.layers.{i}.self_attn."
                self.w[at + "q_proj.weight"] = self.w[at + "q_proj.weight"][self.query_rows]
                self.w[at + "k_proj.weight"] = self.w[at + "k_proj.weight"][self.key_rows]

    def rope(self, layer):
        return bool(self.config.text_config.no_rope_layers[layer])

    def linear(self, x, name):
        bias = self.w.get(name + ".bias")
        return F.linear(x, self.w[name + ".weight"], None if bias is None else bias.to(x.dtype))

    def layer_norm(self, x, name):
        w, b = self.w[name + ".weight"], self.w[name + ".bias"]
        return F.layer_norm(x, w.shape, w.to(x.dtype), b.to(x.dtype), 1e-5)

    def rms_norm(self, x, name):
        w = self.w[name + ".weight"]
        return RmsNorm.apply(x, 1e-5) * w.to(x.dtype)

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
        y = F.gelu(self.linear(y, at + "mlp.fc1"))
        return x + self.linear(y, at + "mlp.fc2")

    # --- text ---

    def logits(self, ids, features, patches, rows):
        """ids i64[B, T]; features [P, hidden] for the True places of patches bool[B, T]; the logits
        f32[B, K, vocabulary] of rows i64[B, K]."""
        x = F.embedding(ids, self.w["language_model.model.embed_tokens.weight"])
        if features is not None:
            x = x.masked_scatter(patches[..., None], features)
        self.balance = []
        self.behind = []  # the rows behind each layer, for throw-away heads
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

    def mlp(self, x, at):
        gate = F.silu(self.linear(x, at + "gate_proj"))
        return self.linear(gate * self.linear(x, at + "up_proj"), at + "down_proj")

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


@torch.no_grad()
def check(model, ids, pixels, rows):
    """The largest difference to transformers' logits in float32."""
    ours = Forward(model, half=False)
    ours.load()
    patches = ids == model.config.image_token_index
    features = ours.image_features(pixels)
    mine = ours.logits(ids, features.reshape(-1, features.shape[-1]), patches, rows)
    theirs = model(input_ids=ids, pixel_values=pixels).logits
    theirs = theirs.gather(1, rows[..., None].expand(-1, -1, theirs.shape[-1]))
    return (mine - theirs).abs().max().item(), theirs.std().item()
