"""llama4-run perplexity against numpy on the logits that invoke gives, by the method's definition."""

import json
import os
import unittest

from clitest import DATA, compiled, invoke, main, must, np, run, temp

CONTEXT = 48
TEXT = os.path.join(DATA, "perplexity.txt")


def reference(model, ids, bos, chunks):
    """The running values: chunks of their own, second half scored, exp of the mean."""
    values, running = [], []
    for chunk in range(chunks):
        part = np.array(ids[chunk * CONTEXT:(chunk + 1) * CONTEXT])
        if bos is not None:
            part[0] = bos
        logits = invoke(model, {"input_ids": part})["logits"].astype(np.float64)
        for at in range(CONTEXT // 2, CONTEXT - 1):
            row = logits[at] - logits[at].max()
            values.append(np.log(np.exp(row).sum()) - row[part[at + 1]])
        running.append(float(np.exp(np.mean(values))))
    return running, float(np.std(values) / np.sqrt(len(values) - 1)) * running[-1]


class Perplexity(unittest.TestCase):
    def setUp(self):
        self.model = compiled(os.path.join(DATA, "oracles", "llama3-text-tied"), "--compute",
                              "float32")

    def test_against_numpy(self):
        ids = [int(i) for i in must("tokenize", self.model, "--text-file", TEXT,
                                    "--add-bos").split()]
        found = json.loads(must("perplexity", self.model, "--text-file", TEXT, "--context", CONTEXT,
                                "--chunks", 5, "--json"))
        running, error = reference(self.model, ids, ids[0], 5)
        np.testing.assert_allclose(found["running"], running, rtol=1e-5)
        self.assertAlmostEqual(found["perplexity"], running[-1], delta=1e-5 * running[-1])
        self.assertAlmostEqual(found["error"], error, delta=1e-4 * error)
        self.assertEqual(found["scored"], 5 * (CONTEXT - CONTEXT // 2 - 1))
        self.assertEqual(found["tokens"], len(ids))
        # Another value without BOS: the test sees whether it is there.
        self.assertGreater(abs(reference(self.model, ids, None, 5)[0][-1] - running[-1]),
                           1e-3 * running[-1])

    def test_same_in_any_chunks_and_threads(self):
        options = ["perplexity", self.model, "--text-file", TEXT, "-c", CONTEXT, "--chunks", 2,
                   "--json"]
        whole = must(*options, "--threads", 1)
        self.assertEqual(whole, must(*options, "--threads", 2, "--prefill-chunk-size", 7))

    def test_text_form(self):
        done = run("perplexity", self.model, "-f", TEXT, "-c", CONTEXT, "--chunks", 2)
        self.assertEqual(done.returncode, 0)
        self.assertRegex(done.stdout, r"^perplexity [0-9.]+ \+/- [0-9.]+ \(2 chunks of 48 tokens, "
                                      r"46 scored\)\n$")
        self.assertIn("[2] ", done.stderr)

    def test_refused(self):
        short = temp("short.txt")
        with open(short, "w", encoding="ascii") as file:
            file.write("too short")
        self.assertEqual(run("perplexity", self.model, "-f", short).returncode, 65)
        self.assertEqual(run("perplexity", self.model, "-f", TEXT, "-c", 3).returncode, 2)
        self.assertEqual(run("perplexity", self.model, "-f", TEXT, "-c", 1 << 20).returncode, 2)
        self.assertEqual(run("perplexity", self.model, "-f", temp("none.txt")).returncode, 66)


if __name__ == "__main__":
    main()
