#!/usr/bin/env python3
"""Writes test/data/sampler/cases.json: what the sampler's definitions say, computed with numpy.

    tools/dev/sampler_cases.py > test/data/sampler/cases.json

The definitions are those of the papers and of the interfaces that people know: logit bias, frequency
and presence penalty as in OpenAI's API reference, repetition penalty, temperature, top-k, top-p and
min-p as in Hugging Face transformers, in the order of its logits processors. Nothing here is taken
from the sampler; it is written for clearness: whole arrays, full sorts.
"""
import json
import sys

import numpy as np

NEUTRAL = {"temperature": 1.0, "top_k": 0, "top_p": 1.0, "min_p": 0.0, "frequency_penalty": 0.0,
           "presence_penalty": 0.0, "repetition_penalty": 1.0, "logit_bias": {}}


def adjusted(logits, prompt, answer, p):
    """Logits after bias and penalties, f32."""
    scores = np.array(logits, np.float32)
    for token, bias in p["logit_bias"].items():
        scores[int(token)] += np.float32(bias)
    scores = scores.astype(np.float64)
    seen = np.zeros(len(scores), bool)
    seen[prompt + answer] = True
    r = p["repetition_penalty"]
    scores = np.where(seen, np.where(scores < 0, scores * r, scores / r), scores)
    counts = np.bincount(np.array(answer, int), minlength=len(scores))
    scores = scores - counts * p["frequency_penalty"] - (counts > 0) * p["presence_penalty"]
    return scores.astype(np.float32)


def softmax(scores):
    with np.errstate(invalid="ignore"):
        e = np.exp(scores - scores.max())
    return e / e.sum()


def clear_of(values, border, what):
    """A case is no case where rounding decides it."""
    if np.abs(np.asarray(values) - border).min() < 1e-7:
        raise SystemExit(f"{what}: a value at the border, take another seed")


def distribution(logits, prompt, answer, p):
    """(ids, probabilities) of the tokens that may be drawn, by rising id."""
    scores = adjusted(logits, prompt, answer, p)
    possible = np.flatnonzero(~np.isnan(scores) & (scores != -np.inf))
    order = possible[np.argsort(-scores[possible], kind="stable")]  # ties: the lowest id first
    if p["temperature"] == 0:
        return [int(order[0])], [1.0]
    if p["top_k"]:
        order = order[:p["top_k"]]
    probabilities = softmax(scores[order].astype(np.float64) / p["temperature"])
    if p["top_p"] < 1:
        before = np.cumsum(probabilities) - probabilities
        if p["top_p"] > 0 and not p.get("tied"):
            clear_of(before, p["top_p"], "top_p")
        kept = before < p["top_p"]
        kept[0] = True
        order, probabilities = order[kept], probabilities[kept]
    if p["min_p"] > 0:
        least = p["min_p"] * probabilities.max()
        if p["min_p"] < 1:
            clear_of(probabilities, least, "min_p")
        kept = probabilities >= least
        order, probabilities = order[kept], probabilities[kept]
    probabilities = probabilities / probabilities.sum()
    by_id = np.argsort(order)
    return order[by_id].tolist(), probabilities[by_id].tolist()


def philox(counter, key):
    """Philox4x32-10, as the paper's pseudo code has it."""
    c, k = list(counter), list(key)
    for _ in range(10):
        high0, low0 = divmod(0xD2511F53 * c[0], 1 << 32)
        high1, low1 = divmod(0xCD9E8D57 * c[2], 1 << 32)
        c = [high1 ^ c[1] ^ k[0], low1, high0 ^ c[3] ^ k[1], low0]
        k = [(k[0] + 0x9E3779B9) & 0xFFFFFFFF, (k[1] + 0xBB67AE85) & 0xFFFFFFFF]
    return c


def uniform(seed, index):
    """53 bits of the block of a counter."""
    words = philox([index & 0xFFFFFFFF, index >> 32, 0, 0], [seed & 0xFFFFFFFF, seed >> 32])
    return ((words[1] << 32 | words[0]) >> 11) / 2.0**53


def parameter_sets():
    one = [{}, {"temperature": 0.0}, {"temperature": 0.6}, {"temperature": 3.5}, {"top_k": 1},
           {"top_k": 5}, {"top_k": 1000000}, {"top_p": 0.9}, {"top_p": 0.3}, {"top_p": 0.0},
           {"min_p": 0.05}, {"min_p": 0.4}, {"min_p": 1.0}, {"frequency_penalty": 0.7},
           {"frequency_penalty": -1.25}, {"presence_penalty": 1.5}, {"presence_penalty": -2.0},
           {"repetition_penalty": 1.3}, {"repetition_penalty": 0.5},
           {"logit_bias": {"1": 100.0, "3": -100.0}}, {"logit_bias": {"0": 1.5, "5": -0.5}}]
    mixed = [{"temperature": 0.6, "top_p": 0.9}, {"temperature": 0.7, "top_k": 7, "top_p": 0.8},
             {"temperature": 1.4, "top_k": 6, "top_p": 0.95, "min_p": 0.1},
             {"temperature": 0.0, "repetition_penalty": 2.0, "frequency_penalty": 1.0},
             {"temperature": 0.8, "top_p": 0.7, "frequency_penalty": 0.5, "presence_penalty": 0.25,
              "repetition_penalty": 1.1, "logit_bias": {"2": 2.0, "6": -3.0}},
             {"temperature": 2.0, "min_p": 0.02, "presence_penalty": 0.9, "logit_bias": {"4": 4.0}}]
    for given in one + mixed:
        p = {**NEUTRAL, **given}
        yield {k: float(np.float32(v)) if isinstance(v, float) else v for k, v in p.items()}


def case(name, logits, prompt, answer, p):
    ids, probabilities = distribution(logits, prompt, answer, p)
    values = [None if np.isnan(v) else "inf" if v == np.inf else "-inf" if v == -np.inf
              else float(v) for v in np.array(logits, np.float32)]
    parameters = {k: v for k, v in p.items() if k != "tied"}
    return {"name": name, "logits": values, "prompt": prompt, "answer": answer,
            "parameters": parameters, "ids": ids, "probabilities": probabilities}


def cases():
    rng = np.random.default_rng(4)
    for vocab in (8, 60):
        for number, p in enumerate(parameter_sets()):
            logits = rng.normal(0, 3, vocab).astype(np.float32)
            prompt = rng.integers(0, vocab, 6).tolist()
            answer = rng.integers(0, vocab, 9).tolist()
            yield case(f"random {vocab} {number}", logits, prompt, answer, p)
    large = rng.normal(0, 2, 1500).astype(np.float32)
    yield case("large", large, [], [], {**NEUTRAL, "temperature": 0.5, "top_p": 0.75})
    tied = [1.0, 2.0, 2.0, 2.0, 1.0, 2.0, 0.0]
    for p in ({"temperature": 0.0}, {"top_k": 2}, {"top_k": 5}, {"top_p": 0.25, "tied": True},
              {"top_p": 0.5, "tied": True}):
        yield case(f"ties {p}", tied, [], [], {**NEUTRAL, **p})
    holes = [np.nan, -np.inf, 1.0, 0.5, -np.inf, 3e38, np.nan]
    yield case("no numbers", holes, [2, 5], [3], {**NEUTRAL, "repetition_penalty": 2.0})
    yield case("far apart", [0.0, -800.0, 90.0], [], [], {**NEUTRAL, "temperature": 0.0078125})


def main():
    if philox([0] * 4, [0] * 2) != [0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8]:
        sys.exit("philox differs from its published test vector")
    draws = [{"seed": str(seed), "index": str(index), "value": uniform(seed, index)}
             for seed in (0, 1, 42, 2**32, 2**64 - 1) for index in (0, 1, 2, 1000, 2**40)]
    print('{"draws": [')
    print(",\n".join(json.dumps(draw) for draw in draws))
    print('], "cases": [')
    print(",\n".join(json.dumps(one) for one in cases()))
    print("]}")


if __name__ == "__main__":
    main()
