#!/usr/bin/env python3
"""Trains a demo model. Runs on CPUs; can be stopped at any time and goes on where it was saved.

    python models/demo/train.py STATE [--family mllama] [--steps 6000] [--processes 2]

STATE is a folder: state.pt (weights, optimiser, step), log.txt (one line an evaluation). A file
STATE/stop ends the run after the next step. What process i sees in step k is drawn from (seed, k,
i), so the result doesn't depend on how often the run was stopped; it does depend on the number of
processes and, by rounding, on the processor.

The rate is constant after a warm-up and falls over the last fifth of --steps; to train longer,
start again with more steps before the fall begins. What is exported is a running mean of the
weights.
"""
import argparse
import os
import shutil
import time

import numpy as np
import torch
import torch.nn.functional as F

import batches
import families
import heads
import samples
import scenes
import warm

HELD_OUT = 10 ** 9  # first number of a held-out seed; training uses (seed, step) below
KEEP = 0.998  # of the running mean, each step
MORE = 0.5  # the weight of the loss of further pictures


class Share:
    """One process's part of a step: the gradient of its part of the batch. Its model's parameters
    lie in shared memory, where the first process moves them."""

    def __init__(self, options, index):
        torch.set_num_threads(options.threads)
        self.options, self.index = options, index
        family = families.FAMILIES[options.family]
        self.model = family.create(options.seed)
        torch.manual_seed(options.seed)
        self.heads = heads.Heads(self.model.config.text_config.hidden_size)
        self.reader = heads.Reader(self.model.config.text_config.hidden_size)
        self.forward = family.forward(self.model, half=not options.float32)
        self.builder = batches.Builder(family)
        self.parameters = [*self.model.parameters(), *self.heads.parameters()]
        if options.written:
            self.parameters += self.reader.parameters()

    def gradient(self, step, right):
        """Leaves the gradient in the parameters; (loss, heads' loss, [(kind, answered right)])."""
        o = self.options
        rng = np.random.default_rng([o.seed, step, self.index])
        alone = step < o.alone
        most = scenes.MAX_OBJECTS if alone else 2 + (step - o.alone) // o.widen
        terse = step < o.terse and rng.random() < 0.8
        weights = {kind: 0.15 + (1 - v) for kind, v in right.items()}
        drawn = [samples.draw(rng, {"scene": 1} if alone else o.mix, min(most, scenes.MAX_OBJECTS),
                              o.turns, weights)
                 for _ in range(o.alone_batch if alone else o.batch)]
        batch = self.builder.batch(drawn, terse, o.longest)
        for p in self.parameters:
            p.grad = None
        self.forward.load()
        features, extra, answered = self.forward.see(batch), torch.zeros(()), []
        if features is not None:
            extra = self.heads.image_loss(features, batch.cells)
        loss = extra
        if not alone:
            loss, extra, answered = self.language(batch, features, extra, step)
        if o.written:
            loss = loss + 0.3 * self.read(rng)
        loss.backward()
        if o.more and not alone:
            self.more(rng)
        return loss.item(), extra.item(), answered

    def more(self, rng):
        """Adds the gradient of further pictures that nothing is asked about: the tower with its
        throw-away heads costs little beside the text."""
        drawn = [scenes.scene(rng) for _ in range(self.options.more)]
        pixels = self.builder.family.normalise(scenes.draw(drawn))
        labels = torch.from_numpy(np.stack([scenes.cells(s) for s in drawn]))
        (MORE * self.heads.image_loss(self.forward.image_features(pixels), labels)).backward()

    def read(self, rng):
        """The reader's loss on some more pictures, which only the tower sees."""
        texts = [samples.text(rng, 0, 1, None) for _ in range(self.options.written)]
        features = self.forward.see(self.builder.batch(texts))
        return self.reader.loss(features, [s.written for s in texts])

    def language(self, batch, features, extra, step):
        logits = self.forward.answer(batch, features)
        each = F.cross_entropy(logits.flatten(0, 1), batch.targets.flatten(), reduction="none")
        loss = (each * batch.weights.flatten()).sum() / batch.weights.sum()
        extra = extra + self.heads.text_loss(*self.forward.behind[1:3], batch.references)
        part = max(0.05, 0.3 * (1 - step / self.options.steps))
        total = loss + part * extra + 0.01 * sum(self.forward.balance)
        return total, extra, list(zip(batch.kinds, right_turns(logits, batch).tolist()))


def helper(options, index, pipe, parameters, gradients):
    """A further process: computes its share whenever it is told a step."""
    share = Share(options, index)
    for mine, shared in zip(share.parameters, parameters):
        mine.data = shared
    while (message := pipe.recv()) is not None:
        result = share.gradient(*message)
        for p, g in zip(share.parameters, gradients):
            g.zero_() if p.grad is None else g.copy_(p.grad)
        pipe.send(result)


class Training:
    def __init__(self, options):
        self.options = options
        self.share = Share(options, 0)
        self.model, self.heads, self.forward = (self.share.model, self.share.heads,
                                                self.share.forward)
        every = self.share.parameters
        for p in every:
            p.data = p.data.share_memory_()
        self.optimiser = torch.optim.AdamW(
            [{"params": [p for p in every if p.dim() > 1], "weight_decay": 0.05},
             {"params": [p for p in every if p.dim() == 1], "weight_decay": 0.0}],
            lr=options.rate, betas=(0.9, 0.97), fused=True)
        self.mean = [p.detach().clone() for p in self.model.parameters()]
        self.step, self.seconds = 0, 0.0
        self.right = {kind: 0.2 for kind in samples.KINDS}  # running accuracy: chooses questions
        self.helpers = []

    def start_helpers(self):
        context = torch.multiprocessing.get_context("spawn")
        for index in range(1, self.options.processes):
            ours, theirs = context.Pipe()
            parameters = [p.data for p in self.share.parameters]
            gradients = [torch.zeros_like(p).share_memory_() for p in parameters]
            process = context.Process(target=helper, daemon=True,
                                      args=(self.options, index, theirs, parameters, gradients))
            process.start()
            self.helpers.append((ours, gradients))

    # --- state ---

    def state(self):
        return {"model": self.model.state_dict(), "heads": self.heads.state_dict(),
                "reader": self.share.reader.state_dict(), "written": bool(self.options.written),
                "optimiser": self.optimiser.state_dict(), "mean": self.mean, "step": self.step,
                "seconds": self.seconds, "right": self.right, "family": self.options.family}

    def save(self):
        folder = self.options.state
        path = os.path.join(folder, "state.pt")
        torch.save(self.state(), path + ".new")
        os.replace(path + ".new", path)
        if self.options.copy:
            os.makedirs(self.options.copy, exist_ok=True)
            for name in ("state.pt", "log.txt"):
                target = os.path.join(self.options.copy, name)
                shutil.copyfile(os.path.join(folder, name), target + ".new")
                os.replace(target + ".new", target)

    def begin(self, path):
        """Starts with what carries over from a state of the other family."""
        if self.options.family != "mllama":
            raise SystemExit("--from begins a state of mllama, expected --family mllama")
        warm.start(self.model, self.heads, path)
        self.mean = [p.detach().clone() for p in self.model.parameters()]
        self.say(f"begins with the words and layers {warm.LAYERS} of {path}")

    def load(self, path):
        state = torch.load(path, weights_only=True)
        if (family := state.get("family", "llama4")) != self.options.family:
            raise SystemExit(f"{path} is a state of {family}, expected {self.options.family}")
        self.model.load_state_dict(state["model"])
        self.heads.load_state_dict(state["heads"])
        if "reader" in state:
            self.share.reader.load_state_dict(state["reader"])
        if state.get("written", False) == bool(self.options.written):
            self.optimiser.load_state_dict(state["optimiser"])
        else:
            self.say("the optimiser begins anew: the reader came or went")
        self.mean = state["mean"]
        self.step, self.seconds = state["step"], state["seconds"]
        self.right.update({k: v for k, v in state["right"].items() if k in self.right})

    # --- one step ---

    def rate(self):
        """Warm-up, constant, then linearly down over the last fifth."""
        o = self.options
        rise = min(1.0, (self.step + 1) / 100)
        fall = min(1.0, max(0.02, (o.steps - self.step) / (o.steps * o.fall)))
        return o.rate * rise * fall

    def train_step(self):
        message = (self.step, self.right)
        for pipe, _ in self.helpers:
            pipe.send(message)
        results = [self.share.gradient(*message)]
        for pipe, gradients in self.helpers:
            results.append(pipe.recv())
            for p, g in zip(self.share.parameters, gradients):
                p.grad = g.clone() if p.grad is None else p.grad.add_(g)
        wanted = [p for p in self.share.parameters if p.grad is not None]
        torch._foreach_div_([p.grad for p in wanted], len(results))
        torch.nn.utils.clip_grad_norm_(wanted, 1.0)
        for group in self.optimiser.param_groups:
            group["lr"] = self.rate()
        self.optimiser.step()
        keep = min(KEEP, (self.step + 1) / (self.step + 10))
        torch._foreach_lerp_(self.mean, [p.detach() for p in self.model.parameters()], 1 - keep)
        for kind, ok in sum((answered for _, _, answered in results), []):
            self.right[kind] += 0.005 * (ok - self.right[kind])
        self.step += 1
        return results[0][:2]

    # --- held-out accuracy ---

    @torch.no_grad()
    def evaluate(self, use_mean=True):
        """Accuracy by kind on held-out scenes, from the running mean of the weights."""
        live = [p.detach().clone() for p in self.model.parameters()]
        if use_mean:
            for p, mean in zip(self.model.parameters(), self.mean):
                p.copy_(mean)
        self.forward.load()
        tally = {kind: [0, 0] for kind in samples.KINDS}
        for k in range(self.options.evaluations):
            rng = np.random.default_rng([HELD_OUT, k])
            batch = self.share.builder.batch([samples.draw(rng, self.options.mix, 4, 4)
                                              for _ in range(32)])
            logits = self.forward.answer(batch, self.forward.see(batch))
            for kind, ok in zip(batch.kinds, right_turns(logits, batch).tolist()):
                tally[kind][0] += int(ok)
                tally[kind][1] += 1
        for p, value in zip(self.model.parameters(), live):
            p.copy_(value)
        return tally

    def report(self, loss, heads):
        tally = self.evaluate()
        right, asked = (sum(t[i] for t in tally.values()) for i in (0, 1))
        kinds = "  ".join(f"{k} {100 * r / max(n, 1):.0f}" for k, (r, n) in tally.items() if n)
        balance = " ".join(f"{float(b):.2f}" for b in self.forward.balance)
        self.say(f"step {self.step}  {self.seconds / 60:.1f} min  rate {self.rate():.1e}  "
                 f"loss {loss:.3f}  heads {heads:.3f}  balance {balance}  "
                 f"held-out {100 * right / asked:.1f} % of {asked}:  {kinds}")

    def say(self, line):
        print(line, flush=True)
        with open(os.path.join(self.options.state, "log.txt"), "a", encoding="utf-8") as log:
            log.write(time.strftime("%H:%M:%S  ") + line + "\n")

    def run(self):
        o = self.options
        stop = os.path.join(o.state, "stop")
        started = last = saved = time.monotonic()
        losses = []
        while self.step < o.steps and last - started < 60 * o.minutes and not os.path.exists(stop):
            losses.append(self.train_step())
            now = time.monotonic()
            self.seconds += now - last
            last = now
            if self.step % o.every == 0:
                self.report(*np.mean(losses, 0))
                losses = []
                last = time.monotonic()
            if now - saved > 180:
                self.save()
                saved = last = time.monotonic()
        for pipe, _ in self.helpers:
            pipe.send(None)
        self.save()
        self.say(f"stopped at step {self.step} after {self.seconds / 60:.1f} minutes of training")


def right_turns(logits, batch):
    """bool[turns]: every token of the answer is the most likely one."""
    wrong = (logits.argmax(-1) != batch.targets) & (batch.turns >= 0)
    right = torch.ones(len(batch.kinds), dtype=torch.bool)
    right[batch.turns[wrong]] = False
    return right


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("state")
    parser.add_argument("--family", choices=families.FAMILIES, default="llama4")
    parser.add_argument("--steps", type=int, default=6000)
    parser.add_argument("--minutes", type=float, default=1e9)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--processes", type=int, default=2, help="that share the work of a step")
    parser.add_argument("--batch", type=int, default=12, help="pictures a step and process")
    parser.add_argument("--alone", type=int, default=200,
                        help="steps of the tower with its throw-away heads alone")
    parser.add_argument("--alone-batch", type=int, default=12, help="pictures in these steps")
    parser.add_argument("--written", type=int, default=0,
                        help="more pictures with a text, a step and process, for the tower alone")
    parser.add_argument("--more", type=int, default=0,
                        help="further pictures a step, for the tower with its heads")
    parser.add_argument("--from", dest="origin", help="a state of llama4 to begin mllama with")
    parser.add_argument("--turns", type=int, default=9, help="questions a picture at most")
    parser.add_argument("--longest", type=int, default=116, help="tokens of a conversation")
    parser.add_argument("--terse", type=int, default=2500, help="steps with mostly terse turns")
    parser.add_argument("--rate", type=float, default=1.5e-3)
    parser.add_argument("--fall", type=float, default=0.2, help="part of the steps at the end")
    parser.add_argument("--mix", type=samples.mixture, default="scene:1",
                        help="weights of samples, such as scene:6,tiled:1,text:1,pair:1,tools:1")
    parser.add_argument("--widen", type=int, default=250, help="steps until one more object")
    parser.add_argument("--every", type=int, default=200, help="steps between evaluations")
    parser.add_argument("--evaluations", type=int, default=6, help="held-out batches of 32")
    parser.add_argument("--copy", help="a second folder for the state")
    parser.add_argument("--float32", action="store_true", help="no bfloat16 in the passes")
    return parser.parse_args()


def main():
    options = arguments()
    torch.set_num_threads(options.threads)
    os.makedirs(options.state, exist_ok=True)
    training = Training(options)
    path = os.path.join(options.state, "state.pt")
    if os.path.exists(path):
        training.load(path)
        training.say(f"goes on at step {training.step}")
    elif options.origin:
        training.begin(options.origin)
    training.start_helpers()
    training.run()


if __name__ == "__main__":
    main()
