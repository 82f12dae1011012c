"""Run the tests of an assignment in a process that holds no code of a student's.

The tests are written as for a notebook, and the student version shows the same ones. Here the names of a student's answers stand
for what is in the student's kernel (`aeutils.classroom.exchange`): calling such a function calls it there, numbers and arrays are
copies, models are rebuilt here. Where a test puts a function of its own in the place of one of the student's, the student's
other functions call that one. Everything is compared here.
"""

import ast
import builtins
import json
import os
import re
import select
import signal
import socket
import subprocess
import sys
import types

from aeutils.classroom import exchange, sandbox, students
from aeutils.errors import UserError

PATIENCE = 20  # seconds for the kernel to connect
_START = "import sys; from aeutils.classroom.judge import main; main(int(sys.argv[1]))"


class JudgeError(UserError):
    """The tests cannot be run."""


# ---- The grader's side: start the process and give it work ----


class Judge:
    """The process that runs the tests of one submission.

    Parameters
    ----------
    folder : path
        Where the kernel can reach the socket: the folder that it shares with the grader.
    environment : dict
        As the kernel's.
    readable : sequence of path
    containment : str
        A kind of `aeutils.classroom.sandbox.contain`; the tests are the teacher's, but what they look at is not.
    log : file
        Gets what the process says.
    """

    def __init__(self, folder, environment, readable, containment, log=None):
        self.path = str(folder / "judge")
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(self.path)
        os.chmod(self.path, 0o666)
        listener.listen(1)
        os.set_inheritable(listener.fileno(), True)
        command = [sys.executable, "-c", _START, str(listener.fileno())]
        self.process = subprocess.Popen(
            sandbox.contain(command, readable=readable, environment=environment, kind=containment),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log or subprocess.DEVNULL,
            pass_fds=[listener.fileno()],
            text=True,
        )
        listener.close()

    def begin(self, **request):
        """Give it something to do; `end` waits for it."""
        try:
            self.process.stdin.write(json.dumps(request) + "\n")
            self.process.stdin.flush()
        except OSError:
            raise JudgeError("the process that runs the tests ended") from None

    def end(self):
        """Wait until it is done, and return what came out."""
        line = self.process.stdout.readline()
        if not line:
            raise JudgeError("the process that runs the tests ended")
        return json.loads(line)

    def close(self):
        """End the process."""
        self.process.kill()
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()


# ---- The process itself ----


class _Side(exchange.Peer):
    """The judge's side of the exchange: it answers calls of functions that it offered, and nothing else."""

    def __init__(self, connection):
        super().__init__(connection, "judge")
        self.offered = set()

    def answer(self, message):
        if message.get("ask") != "call" or id(message.get("target")) not in self.offered:
            self.send({"error": "ExchangeError", "text": "only functions that stand for others can be called"})
            return
        super().answer(message)

    def use_seed(self, seed):
        keras = sys.modules.get("keras")
        if keras is not None and type(seed) is int and 0 <= seed < 2**32:
            getattr(keras.utils.set_random_seed, "own", keras.utils.set_random_seed)(seed)

    def check_sent(self, thing):
        if not isinstance(thing, types.FunctionType | types.MethodType | types.BuiltinFunctionType):
            raise exchange.ExchangeError(f"a {type(thing).__name__} cannot be sent to the student's code")
        self.offered.add(id(thing))


class _Tests:
    """The variables of the tests, and what they share with the kernel."""

    def __init__(self, listener):
        self.listener, self.side = listener, None
        self.module = types.ModuleType("__main__")
        self.names = vars(self.module)
        self.bound, self.placed, self.source, self.alone = {}, {}, "", False
        sys.modules["__main__"] = self.module  # for `mock.patch("__main__.name", ...)`
        students.send_inside = self.define

    def do_given(self, sources, student):
        """Run the cells that are given, here too; those that need an answer fail, and are left out."""
        self.names["student_id"] = student
        for source in sources:
            try:
                exec(compile(source, "<given>", "exec"), self.names)
            except Exception as error:
                print(f"a given cell is left out: {type(error).__name__}: {error}", file=sys.stderr)
        self._share_seeds()
        return {}

    def do_test(self, source, answers, seconds):
        """Run a test. `answers` are the names that stand in answers above it; those of the last answer come first."""
        self.source = source
        try:
            passed, error = self._run(source, answers["all"], seconds)
            vacuous = passed and self._run_without(source, answers["last"], seconds)
        finally:
            self._end()
        return {"passed": passed, "error": error, "vacuous": vacuous}

    def _run(self, source, answers, seconds):
        def stop(*_):
            raise TimeoutError(f"longer than {seconds} s")

        signal.signal(signal.SIGALRM, stop)
        signal.alarm(seconds)
        try:
            self._connect()
            self._bind(source, answers)
            exec(compile(source, "<test>", "exec"), self.names)
            return True, ""
        except BaseException as error:
            if isinstance(error, TimeoutError):
                self._hang_up()
            return False, f"{type(error).__name__}: {str(error)[:500]}"
        finally:
            signal.alarm(0)

    def _hang_up(self):
        """Talk no more: an answer that comes later would be taken for another one."""
        if self.side is not None:
            self.side.connection.close()
            self.side = None

    def _run_without(self, source, answers, seconds):
        """Run a test again with wrong answers in the place of the student's; whether it passes even so."""
        used = [name for name in answers if name in self.bound and re.search(rf"\b{name}\b", source)]
        if not used:
            return False
        kept, placed = dict(self.names), dict(self.placed)
        self.alone = True
        signal.alarm(seconds)
        try:
            self.names.update({name: _wrong if callable(self.bound[name]) else None for name in used})
            exec(compile(source, "<test>", "exec"), self.names)
            return True
        except BaseException:
            return False
        finally:
            signal.alarm(0)
            self.alone = False
            self.names.clear()
            self.names.update(kept)
            self.placed = placed

    def _connect(self):
        if self.side is not None:
            return
        if self.listener is None:
            raise EOFError("the kernel did not connect")
        listener, self.listener = self.listener, None
        listener.settimeout(PATIENCE)
        connection, _ = listener.accept()
        connection.settimeout(None)
        self.side = _Side(connection)
        self.side.before_asking = self._place

    def _bind(self, source, answers):
        """Let the names of answers stand for what is in the kernel now; not those in whose place a test put something."""
        words = set(re.findall(r"[^\W\d]\w*", source))
        wanted = [name for name in answers if name in words and name not in self.placed]
        for name in wanted:
            self.names.pop(name, None)
            self.bound.pop(name, None)
        for name, value in self.side.ask("names", names=wanted).items():
            if name in wanted:
                self.names[name] = self.bound[name] = value

    def _place(self):
        """Put what a test put in the place of an answer into the kernel, too."""
        if self.alone:
            raise EOFError("no question is asked with wrong answers")
        for name, own in self.bound.items():
            value = self.names.get(name, own)
            if value is own and name in self.placed:
                del self.placed[name]
                self._ask_quietly("restore", name=name)
            elif value is not own and callable(value) and self.placed.get(name) is not value:
                self.placed[name] = value
                self._ask_quietly("put", name=name, value=value)

    def _ask_quietly(self, kind, **values):
        self.side.before_asking, kept = (lambda: None), self.side.before_asking
        try:
            self.side.ask(kind, **values)
        finally:
            self.side.before_asking = kept

    def _end(self):
        if self.side is not None:
            signal.alarm(10)
            try:
                self._place()
                self._ask_quietly("end")
            except (OSError, EOFError, exchange.ExchangeError, exchange.AnswerError):
                self._hang_up()
            finally:
                signal.alarm(0)

    def define(self, thing):
        """Send a function of a test to where the student's code runs."""
        for node in ast.walk(ast.parse(self.source)):
            if isinstance(node, ast.FunctionDef | ast.ClassDef) and node.name == thing.__name__:
                node.decorator_list = []
                if self.alone:
                    return _wrong
                return self.side.ask("define", name=node.name, source=ast.unparse(node))
        raise JudgeError(f"{thing.__name__} is not defined in the test that sends it")

    def _share_seeds(self):
        """Let `keras.utils.set_random_seed` of a test count in the kernel, too."""
        keras = sys.modules.get("keras")
        if keras is None or hasattr(keras.utils.set_random_seed, "own"):
            return
        own = keras.utils.set_random_seed

        def set_random_seed(seed):
            own(seed)
            if self.side is not None and not self.alone:
                self.side.ask("seed", seed=int(seed))

        set_random_seed.own = own
        keras.utils.set_random_seed = set_random_seed

    def answer_call(self):
        """Answer a function of the student's that calls one of a test's while its own cell runs."""
        try:
            self.side.answer(self.side.receive())
        except (OSError, EOFError, exchange.ExchangeError):
            self._hang_up()


def _wrong(*args, **kwargs):
    """A wrong answer to everything."""


def main(descriptor):
    """Run what the grader asks for: a line of JSON each way."""
    requests, replies = os.fdopen(os.dup(0)), os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # whatever a test prints
    tests = _Tests(socket.socket(fileno=descriptor))
    builtins.input = None
    while True:
        while True:
            waiting = [requests] + ([tests.side.connection] if tests.side is not None else [])
            ready, _, _ = select.select(waiting, [], [])
            if requests in ready:
                break
            tests.answer_call()
        line = requests.readline()
        if not line:
            return
        request = json.loads(line)
        try:
            reply = getattr(tests, f"do_{request.pop('do')}")(**request)
        except BaseException as error:
            reply = {"failed": f"{type(error).__name__}: {str(error)[:500]}"}
        replies.write(json.dumps(reply) + "\n")
        replies.flush()
