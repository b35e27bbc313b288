"""What llama4-compile refuses: options, and dumps that a person changed. One sentence, no file."""

import pathlib
import re
import tempfile
import unittest

from support import DATA, run

CHECKPOINT = DATA / "oracles" / "llama3-text-tied"

USAGE = [
    (["--target", "cpu,cuda:sm_90"], "cuda:sm_90"),
    (["--target", "cpu:x86-64-v9"], "x86-64-v9"),
    (["--compute", "int8"], "expected one of bfloat16, float32"),
    (["--kv-type", "float16"], "expected one of bfloat16, float32"),
    (["--quantization-encoding", "q3_x"], "expected one of as-stored"),
    (["--disable-pass", "lm-verify"], "is not a pass that can be left out"),
    (["--checkpoint", "elsewhere"], "two checkpoints"),
    (["--dump-phase", "lm", "--dump-kernels", "folder"], "leave one out"),
    (["--dump-phase", "optimised"], "expected one of graph, lm, lm-opt, cmd, plan"),
    (["--from-phase", "graph", "x.mlir"], "expected lm, lm-opt, cmd or plan"),
]

# A phase, what is replaced in its dump, by what, and what the error says. All are refused with 65.
CHANGED = [
    ("lm", r"max_batch_size = \d+ : i64", "max_batch_size = 0 : i64", "at least 1"),
    ("lm", r'compute = "float32"', "compute = 32 : i64", "expected a string"),
    ("lm", r"heads = \d+, dim", "heads = 0, dim", "0 heads"),
    ("lm", r"target.devices = \[[^]]*\]", 'target.devices = ["cpu"]', "CPU levels"),
    ("lm", r'#target.cpu<"[^"]*">', '#target.cpu<"z80">', "z80"),
    ("lm-opt", r' core <"l4_linear[^>]*>', "", "has no micro-kernel"),
    ("lm-opt", r'core <"l4_linear[^"]*", tokens = \d+>', 'core <"l4_none", tokens = 64>', "l4_none"),
    ("lm-opt", r"tokens = 64", "tokens = 0", "tiles of 0 tokens"),
    ("cmd", r"rope = @\w+", "rope = @nowhere", "no rope table"),
    ("plan", r"rope = @\w+", "rope = @nowhere", "no rope table"),
    ("plan", r"arena \d+", "arena 64", "inside the arena of 64 bytes"),
    ("plan", r"cmd\.alloc at (?!4096\b)[1-9]\d*", "cmd.alloc at 4096", "shares memory with a buffer"),
    ("plan", r"cmd\.alloc at [1-9]\d*", "cmd.alloc at 0", "behind the 4096 bytes that stay zero"),
    ("plan", r"cmd\.alloc at \d+", "cmd.alloc", "has no place in the arena"),
    ("plan", r"scratch [1-9]\d*", "scratch 0", "but needs"),
    ("plan", r"affine_map<\(d0\) -> \(d0\)>", "affine_map<(d0) -> (d0 * 4)>", "but its tiles are"),
]


class Refused(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)

    def refuse(self, code, says, *arguments):
        done = run("llama4-compile", *arguments, "-o", self.folder / "x.l4x", check=False)
        self.assertEqual(done.returncode, code, f"{arguments}: {done.stderr}")
        self.assertIn(says, done.stderr)
        self.assertEqual(done.stdout, "")
        self.assertEqual(len(done.stderr.splitlines()), 1, done.stderr)
        self.assertEqual([p.name for p in self.folder.iterdir() if ".l4x" in p.name], [])

    def test_options(self):
        for arguments, says in USAGE:
            with self.subTest(arguments=arguments):
                self.refuse(2, says, CHECKPOINT, *arguments)
        self.refuse(2, "found no checkpoint")

    def test_phases_in_the_wrong_order(self):
        dump = self.folder / "lm-opt.mlir"
        dump.write_text("module {}")
        for phase in ("graph", "lm"):
            self.refuse(2, f"--dump-phase {phase} lies before --from-phase lm-opt", "--from-phase",
                        "lm-opt", dump, "--checkpoint", CHECKPOINT, "--dump-phase", phase)

    def test_missing_and_broken_dumps(self):
        dump = self.folder / "dump.mlir"
        from_dump = ["--from-phase", "lm", dump, "--checkpoint", CHECKPOINT]
        self.refuse(66, "dump.mlir", *from_dump)
        dump.write_text("module {")
        self.refuse(65, "dump.mlir", *from_dump)
        dump.write_text("func.func @f() { %a = lm.silu %b#4000000000 : tensor<?x4xf32> }")
        self.refuse(65, "found result number 4000000000 of a value", *from_dump)
        dump.write_text('func.func @f() { "a\tb\n\n"() : () -> () }')
        self.refuse(65, "dump.mlir", *from_dump)

    def test_changed_dumps(self):
        dumps = {}
        for phase, pattern, replacement, says in CHANGED:
            with self.subTest(phase=phase, pattern=pattern):
                if phase not in dumps:
                    dumps[phase] = run("llama4-compile", CHECKPOINT, "--compute", "float32",
                                       "--dump-phase", phase).stdout
                changed = re.sub(pattern, replacement, dumps[phase])
                self.assertNotEqual(changed, dumps[phase], "nothing was changed")
                dump = self.folder / "dump.mlir"
                dump.write_text(changed)
                self.refuse(65, says, "--from-phase", phase, dump, "--checkpoint", CHECKPOINT)

    def test_a_kind_of_state_is_one_type(self):
        dump = self.folder / "dump.mlir"
        kv = '!lm.kv<"{}", kind = 0, layers = {}, heads = 1, dim = 16, f32>'
        dump.write_text(f"""func.func @step(%a: {kv.format("a", 1)}, %b: {kv.format("b", 2)})
            attributes {{lm.entry = #lm.entry<"T", bound = 8>}} {{ return }}""")
        self.refuse(65, "but KV kind 0 is", "--from-phase", "lm", dump, "--checkpoint", CHECKPOINT)

    def test_a_module_without_devices_takes_the_target(self):
        dump, out = self.folder / "dump.mlir", self.folder / "out.mlir"
        dump.write_text("module {}")
        out.write_text(run("llama4-compile", "--from-phase", "lm", dump, "--checkpoint", CHECKPOINT,
                           "--target", "cpu:x86-64-v3", "--dump-phase", "lm").stdout)
        self.assertIn('target.devices = [#target.cpu<"x86-64-v3">]', out.read_text())


if __name__ == "__main__":
    unittest.main()
