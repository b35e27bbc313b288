"""llama4-run chat: turns, commands and Ctrl-C, through a pipe and on a terminal."""

import codecs
import contextlib
import json
import os
import pathlib
import pty
import re
import select
import signal
import subprocess
import tempfile
import time
import unittest

from clitest import DATA, RUN, compiled

CHECKPOINT = os.path.join(DATA, "oracles/llama4-text-f32")
REPORT = (r"\[\d+ tokens, [0-9.]+ tokens/s; first after [0-9.]+ s, \d+ of \d+ prompt tokens known\]"
          r"\s+> ")
# A person's patience on a machine under load.
PATIENCE = 120


class Chat(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.model = compiled(CHECKPOINT)

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    def path(self, name):
        return pathlib.Path(self.folder.name) / name

    def chat(self, lines, *options):
        done = subprocess.run([RUN, "chat", self.model, "--temperature", "0", "-n",
                               "8", *map(str, options)], input="".join(line + "\n" for line in lines),
                              capture_output=True, text=True, check=False)
        return done.returncode, done.stdout, done.stderr

    def messages(self, lines, *options):
        saved = self.path("saved.json")
        code, out, err = self.chat([*lines, f"/save {saved}"], *options)
        self.assertEqual((code, err), (0, ""))
        return json.loads(saved.read_text())["messages"], out


class Pipe(Chat):
    def test_turns_are_what_the_template_says(self):
        """Each answer equals that of generate-like requests with the whole chat before it."""
        messages, out = self.messages(["one", "two \\", "lines", "//slash"], "--system", "Be brief.")
        roles = [message["role"] for message in messages]
        self.assertEqual(roles, ["system"] + ["user", "assistant"] * 3)
        self.assertEqual([m["content"] for m in messages if m["role"] == "user"],
                         ["one", "two \nlines", "/slash"])
        answers = [m["content"] for m in messages if m["role"] == "assistant"]
        self.assertEqual(out, "".join(answer + "\n" for answer in answers))
        for turn, answer in enumerate(answers):
            asked = self.path("asked.json")
            asked.write_text(json.dumps(messages[:2 + 2 * turn]))
            ids = subprocess.run([RUN, "tokenize", self.model, "--messages", asked],
                                 capture_output=True, text=True, check=True).stdout.split()
            alone = subprocess.run(
                [RUN, "generate", self.model, "--prompt-ids", ",".join(ids), "-n",
                 "8", "--temperature", "0", "--json"], capture_output=True, check=True).stdout
            self.assertEqual(json.loads(alone)["text"], answer)

    def test_reset_and_system(self):
        messages, _ = self.messages(["one", "/reset", "/system Other.", "two"])
        self.assertEqual([(m["role"], m["content"]) for m in messages[:2]],
                         [("system", "Other."), ("user", "two")])
        self.assertEqual(len(messages), 3)
        messages, _ = self.messages(["/system", "two"], "--system", "Be brief.")
        self.assertEqual([m["role"] for m in messages], ["user", "assistant"])

    def test_scripts_hear_of_errors(self):
        code, _, err = self.chat(["/unknown"])
        self.assertEqual(code, 2)
        self.assertRegex(err, r"^llama4-run: error: found \"/unknown\", expected one of /help")
        code, _, err = self.chat([f"/image {self.path('none.png')}"])
        self.assertNotEqual(code, 0)
        self.assertEqual(err.count("\n"), 1)
        code, _, err = self.chat([f"/save {self.path('no/such/folder.json')}"])
        self.assertEqual(code, 74)

    def test_a_chat_that_is_full(self):
        code, _, err = self.chat(["word " * 200], "--max-length", 64)
        self.assertEqual(code, 2)
        self.assertIn("begin anew with /reset", err)


class Terminal(Chat):
    """The program on a pseudo-terminal."""

    def setUp(self):
        self.master, slave = pty.openpty()
        environment = {**os.environ, "TERM": "dumb", "XDG_STATE_HOME": str(self.path("state"))}
        with open(os.path.join(CHECKPOINT, "generation_config.json"), encoding="utf-8") as file:
            stops = json.load(file)["eos_token_id"]
        never = [text for stop in (stops if isinstance(stops, list) else [stops])
                 for text in ("--logit-bias", f"{stop}=-100")]
        self.program = subprocess.Popen(
            [RUN, "chat", self.model, "--temperature", "0", *never], stdin=slave, stdout=slave, stderr=slave, env=environment,
            preexec_fn=os.setsid)
        os.close(slave)
        self.decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self.seen = ""

    def tearDown(self):
        self.program.kill()
        self.program.wait()
        os.close(self.master)

    def wait_for(self, pattern):
        """Reads until the new output has the pattern; forgets what was before its end."""
        end = time.monotonic() + PATIENCE
        while not (found := re.search(pattern, self.seen, re.S)):
            self.assertLess(time.monotonic(), end, self.seen)
            if select.select([self.master], [], [], 1)[0]:
                try:
                    self.seen += self.decoder.decode(os.read(self.master, 4096))
                except OSError:
                    self.fail(f"the program has ended: {self.seen}")
        self.seen = self.seen[found.end():]
        return found.group(0)

    def type(self, text):
        os.write(self.master, text.encode())

    @staticmethod
    def tokens_of(report):
        return int(re.search(r"\[(\d+) tokens", report)[1])

    def stopped_answer(self):
        """Tokens of an answer that Ctrl-C has ended. Where it comes too early, the line is given up
        and there is no answer: then again, with more time."""
        for attempt in range(10):
            self.type("/reset\n")
            self.wait_for("reset.*?> ")
            self.type("hello again\n")
            time.sleep(0.02 * 2 ** attempt)
            self.program.send_signal(signal.SIGINT)
            ended = self.wait_for(f"{REPORT}|Ctrl-C again.*?> ")
            if "tokens" in ended:
                return self.tokens_of(ended)
            self.type("\n")  # a line between two Ctrl-C, which would end the program
            self.wait_for("> ")
        self.fail("no answer began in time")

    def test_a_person(self):
        self.wait_for("Ctrl-D ends.*> ")
        self.type("hello\n")
        whole = self.tokens_of(self.wait_for(REPORT))
        self.assertLess(self.stopped_answer(), whole)
        self.type("/größe\n")
        self.wait_for(r'error: found "/gr\\xc3\\xb6\\xc3\\x9fe".*> ')  # UTF-8, quoted
        self.type("/nonsense\n")
        self.wait_for("error: found \"/nonsense\".*> ")
        self.type(f"/save {self.path('person.json')}\n")
        self.wait_for("> ")
        messages = json.loads(self.path("person.json").read_text())["messages"]
        self.assertEqual([message["role"] for message in messages], ["user", "assistant"])
        self.assertNotEqual(messages[1]["content"], "")
        self.type("\x04")
        self.assertEqual(self.program.wait(PATIENCE), 0)
        history = self.path("state/llama4/chat_history")
        self.assertIn("hello", history.read_text())
        self.assertEqual(history.stat().st_mode & 0o077, 0)

    def test_ctrl_c_at_the_prompt(self):
        self.wait_for("> ")
        self.type("half a line")
        self.wait_for("half a line")
        self.interrupt(lambda: "Ctrl-C again" in self.seen)
        self.wait_for("Ctrl-C again, or Ctrl-D, ends.*> ")
        self.interrupt(lambda: self.program.poll() is not None)
        self.assertEqual(self.program.wait(PATIENCE), 0)

    def interrupt(self, is_seen):
        """One Ctrl-C, which has to be heard whenever it comes."""
        self.program.send_signal(signal.SIGINT)
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            if is_seen():
                return
            if select.select([self.master], [], [], 0.1)[0]:
                with contextlib.suppress(OSError):
                    self.seen += self.decoder.decode(os.read(self.master, 4096))
        self.fail(f"Ctrl-C was not heard: {self.seen}")


if __name__ == "__main__":
    unittest.main()
