"""What the forward passes of both families are made of: parameters by name, norms, attention."""
import torch
import torch.nn.functional as F


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


class Pass:
    """A pass over a model's parameters: `w` are the copies by name that a step computes with,
    differentiable with respect to the parameters."""

    def __init__(self, model, half):
        self.config, self.model = model.config, model
        self.type = torch.bfloat16 if half else torch.float32
        self.w = {}
        self.balance = []  # a penalty for each mixture of the last step
        self.behind = []  # the rows behind each layer, for throw-away heads

    def load(self):
        """Makes the copies; to be called before each step."""
        self.w = {name: p.to(self.type) if p.dim() > 1 else p
                  for name, p in self.model.named_parameters()}

    def linear(self, x, name):
        bias = self.w.get(name + ".bias")
        return F.linear(x, self.w[name + ".weight"], None if bias is None else bias.to(x.dtype))

    def layer_norm(self, x, name):
        w, b = self.w[name + ".weight"], self.w[name + ".bias"]
        return F.layer_norm(x, w.shape, w.to(x.dtype), b.to(x.dtype), 1e-5)

    def rms_norm(self, x, name):
        w = self.w[name + ".weight"]
        return RmsNorm.apply(x, 1e-5) * w.to(x.dtype)

    def mlp(self, x, at):
        gate = F.silu(self.linear(x, at + "gate_proj"))
        return self.linear(gate * self.linear(x, at + "up_proj"), at + "down_proj")

    def vision_mlp(self, x, at):
        return self.linear(F.gelu(self.linear(x, at + "fc1")), at + "fc2")
