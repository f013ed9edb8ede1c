"""Programs that never end, and programs that end badly."""

from __future__ import annotations

from tests.evals.sandbox.hostile.base import DENIED, DONE, ENDED, FORGE, TIME, c, case, solve

SLOW = {
    "loop in Python": case(solve("while True: pass"), TIME),
    "loop at import": case("while True: pass", TIME),
    "loop in C": case(solve("return pow(7, 10**9)"), TIME | {"memory"}),
    "loop in a regex": case(solve("import re\nre.match('(a+)+$', 'a' * 60 + 'b')"), TIME),
    "sleep": case(solve("time.sleep(100)"), TIME),
    "signals ignored": case(
        solve(
            "for n in (signal.SIGTERM, signal.SIGINT, signal.SIGALRM, signal.SIGXCPU):\n"
"    signal.signal(n, signal.SIG_IGN)\n"
            "while True: pass"
        ),
        TIME,
    ),
    "signals blocked": case(
        solve("signal.pthread_sigmask(signal.SIG_BLOCK, range(1, 65))\nwhile True: pass"), TIME
    ),
    "every exception swallowed": case(
        solve("while True:\n    try:\n        while True: pass\n    except BaseException: pass"), TIME
    ),
    "stops itself": case(solve("os.kill(os.getpid(), signal.SIGSTOP)"), TIME),
    "infinite generator": case(solve("while True: yield 4"), {"wrong"}),
    "iterator without end in a list": case(
        solve("return L([4])", "class L(list):\n    def __iter__(self):\n        while True: yield 4"), {"wrong"}
    ),
    "integers whose hashes collide": case(
        solve("return {i * (2**61 - 1) for i in range(60)} | {i * (2**61 - 1) for i in range(60)}"), {"wrong"}
    ),
    "many integers whose hashes collide, forged": case(
        FORGE + "def solve(x):\n"
        "    items = b''.join(encode((i + 1) * (2**61 - 1)) for i in range(100000))\n"
        "    head = encode(('return', own(), None, {}))[:-6]\n"
        "    data = head + b'S' + struct.pack('>I', 100000) + items + encode({})\n"
        "    data = struct.pack('>I', len(data)) + data\n"
        "    while data: data = data[os.write(3, data):]\n"
        "    while True: pass\n",
        TIME,
    ),
    "a range that the tests would walk": case(
        solve("return range(10**15)"), TIME | {"memory"}, "assert sum(solve(2)) == 4"
    ),
    "a range that the tests would list": case(
        solve("return range(10**9)"), TIME | {"memory"}, "assert list(solve(2)) == [4]"
    ),
    "a number the tests would raise": case(solve("return 10**6"), TIME | {"memory"}, "assert 7**solve(2)**2 == 4"),
    "thread bomb": case(
        solve(
            "threading.stack_size(32768)\nwhile True:\n"
            "    try: threading.Thread(target=time.sleep, args=(100,)).start()\n"
            "    except BaseException: pass"
        ),
        {"forbidden", "timeout", "memory"},
    ),
    "thread that goes on": case(
        solve("threading.Thread(target=time.sleep, args=(100,)).start()\nreturn 5"), {"wrong"}
    ),
    "fork bomb in Python": case(
        solve("while True:\n    try: os.fork()\n    except OSError: pass"), TIME
    ),
    "fork bomb through ctypes": case(solve("libc = ctypes.CDLL(None)\nwhile True: libc.fork()"), TIME),
    "waits at its end": case(solve("return 5", "import atexit\natexit.register(lambda: time.sleep(100))"), {"wrong"}),
    "closes its descriptors and loops": case(
        solve("os.closerange(0, 64)\nwhile True: pass"), ENDED | {"timeout"}
    ),
    "reads the channel dry": case(solve("while True: os.read(3, 1)"), TIME),
    "a timer that fires for ever": case(
        solve("signal.signal(signal.SIGALRM, lambda *a: None)\n"
        "signal.setitimer(signal.ITIMER_REAL, 1e-6, 1e-6)\nwhile True: pass"),
        TIME,
    ),
}  # fmt: skip
"""Most of these use up a limit. The first that returned something wrong is told at once."""

CRASHING = {
    "eager memory bomb": case(solve("return 'x' * 10**11"), {"memory"}),
    "lazy memory bomb": case(solve("a = []\nwhile True: a.append(bytearray(10**6))"), {"memory"}),
    "memory bomb through mmap": case(
        solve("import mmap\na = []\nwhile True: a.append(mmap.mmap(-1, 10**8))"), {"memory", "exception"}
    ),
    "memory limit raised": case(
        solve("import resource\nresource.setrlimit(resource.RLIMIT_AS, (-1, -1))\nreturn x * x"),
        DENIED,
    ),
    "memory limit raised by prlimit": case(
        c("libc.syscall(nr(302, 261), 0, 9, ctypes.c_char_p(b'\\xff' * 16), 0)"),
        DENIED,
        DONE,
    ),
    "stack overflow in C": case(
        solve("sys.setrecursionlimit(10**9)\nclass A:\n    __repr__ = lambda s: repr([s])\nreturn repr(A())"),
        {"crash", "memory", "exception"},
    ),
    "endless recursion": case(solve("return solve(x)"), {"exception"}),
    "segmentation fault": case(solve("ctypes.string_at(0)"), ENDED),
    "abort": case(solve("os.abort()"), ENDED),
    "SIGKILL to itself": case(solve("os.kill(os.getpid(), 9)"), ENDED),
    "300 MB on stdout": case(solve("for _ in range(300): os.write(1, b'x' * 10**6)\nreturn x * x"), {"output-limit"}),
    "prints without end": case(solve("while True: print('passed' * 1000)"), {"output-limit"}),
    "300 MB on stderr at import": case(
        "import sys\nfor _ in range(300): sys.stderr.write('x' * 10**6)", {"output-limit"}
    ),
    "closes its descriptors": case(solve("os.closerange(0, 64)\nreturn x * x"), ENDED),
    "reads stdin": case(solve("return input()"), {"exception"}),
    "exhausts descriptors": case(solve("while True: os.dup(0)"), {"exception"}),
    "exhausts pipes": case(solve("while True: os.pipe()"), {"exception"}),
    "very deep result": case(solve("a = []\nfor _ in range(10**5): a = [a]\nreturn a"), {"wrong", "exception"}),
    "result that contains itself": case(solve("a = []\na.append(a)\nreturn a"), {"wrong"}),
    "very large result": case(solve("return 'x' * 10**8"), {"wrong"}),
    "small result that is large when written": case(
        solve("a = [0] * 10\nfor _ in range(60): a = [a] * 10\nreturn a"), {"wrong"}
    ),
    "very large integer": case(solve("return 1 << 10**9"), {"wrong", "memory"}),
    "an integer too long for digits in the tests' message": case(
        solve("return 10**100000"), {"wrong"}, "assert {1: 2}[solve(2)] == 4"
    ),
    "an integer too long for digits in an assert": case(
        solve("return 10**100000"), {"wrong"}, "value = solve(2)\nassert value == 4, f'{value}'"
    ),
    "a value that fills the tests' memory": case(
        FORGE + "def solve(x):\n    return [deque() for _ in range(700000)]\nfrom collections import deque\n",
        {"memory", "wrong"},
        "kept = [solve(i) for i in range(50)]\nassert False",
    ),
    "deep syntax": case("x = " + "(" * 10000 + ")" * 10000, {"syntax"}),
    "deep expression": case("x = " + "-" * 100000 + "1", {"syntax", "crash"}),
    "NUL byte": case("def solve(x):\n    return x * x\n\0", {"syntax"}),
    "broken syntax": case("def solve(x) return x", {"syntax"}),
    "lone surrogates": case("def solve(x):\n    return '\udc80' + 5", {"syntax"}),
}
