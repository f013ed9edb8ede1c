"""Programs that go for the verdict: by leaving, by values, by poison, by forged replies."""

from __future__ import annotations

from tests.evals.sandbox.hostile.base import ALWAYS, ANYWHERE, ENDED, FORGE, SQUARES, case, solve

VERDICT = {
    "os._exit(0) in the call": case(solve("os._exit(0)"), ENDED),
    "os._exit(0) at import": case("import os\nos._exit(0)", ENDED),
    "os._exit with the checker's own status": case(solve("os._exit(111 if x == 2 else 112)"), ENDED),
    "sys.exit(0) at import": case("import sys\nsys.exit(0)", {"exception"}),
    "sys.exit(0) in the call": case(solve("sys.exit(0)"), {"exception"}),
    "SystemExit in the call": case(solve("raise SystemExit(0)"), {"exception"}),
    "KeyboardInterrupt before the call": case("raise KeyboardInterrupt", {"exception"}),
    "KeyboardInterrupt in the call": case(solve("raise KeyboardInterrupt"), {"exception"}),
    "SystemExit after the call": case(
        solve("threading.Timer(0.01, lambda: os._exit(0)).start()\ntime.sleep(0.005)\nreturn 4 if x == 2 else 0"),
        ENDED | {"wrong"},
    ),
    "SIGINT to itself": case(solve("os.kill(os.getpid(), signal.SIGINT)\ntime.sleep(1)"), {"exception"}),
    "assertions raised": case(solve("raise AssertionError"), {"exception"}),
    "an exception the tests may catch": case(
        solve("raise ValueError"), {"wrong"}, "try:\n    solve(2)\nexcept ValueError:\n    pass\nassert False"
    ),
    "the end of a loop of the tests": case(
        solve("raise StopIteration"), {"exception"}, "assert all(map(lambda x: solve(x) == x * x, [2, 3]))"
    ),
    "an attribute that the tests look for": case(
        solve("raise AttributeError"),
        {"exception"},
        "class It:\n    ok = property(lambda it: solve(2) == 4)\nassert getattr(It(), 'ok', True)",
    ),
    "an end the tests try to catch": case(
        solve("os._exit(0)"),
        ENDED,
        "for _ in range(3):\n    try:\n        solve(2)\n    except BaseException:\n        pass",
    ),
    "sys.excepthook": case("import sys, os\nsys.excepthook = lambda *a: os._exit(0)\n1/0", {"exception"}),
    "atexit": case("import atexit, os\natexit.register(os._exit, 0)\ndef solve(x): return 5", {"wrong"}),
    "__del__": case(solve("Late()\nreturn 5", "class Late:\n    def __del__(self): os._exit(0)"), ENDED),
    "equals everything": case(solve("return Same()", ALWAYS), {"wrong"}),
    "an integer that equals everything": case(solve("return I(5)", ALWAYS + "class I(Same, int): pass"), {"wrong"}),
    "a list that equals everything": case(
        solve("return L([5])", ALWAYS + "class L(Same, list): pass"), {"wrong"}, "assert solve(2) == [4]"
    ),
    "a string that equals everything": case(
        solve("return S('no')", ALWAYS + "class S(Same, str): pass"), {"wrong"}, "assert solve(2) == 'yes'"
    ),
    "claims another class": case(solve("return C()", ALWAYS + "class C(Same):\n    __class__ = int"), {"wrong"}),
    "an element that equals everything": case(solve("return [Same()]", ALWAYS), {"wrong"}, "assert solve(2) == [4]"),
    "a key that equals everything": case(
        solve("return {I(5): 1}", ALWAYS + "class I(Same, int): pass"), {"wrong"}, "assert solve(2) == {4: 1}"
    ),
    "a truth of its own": case(
        solve("return B()", "class B(int):\n    __bool__ = lambda s: True"), {"wrong"}, "assert solve(2)"
    ),
    "NaN": case(solve("return float('nan')"), {"wrong"}, "assert abs(solve(2) - 4) < 1e-6"),
    "arguments that equal everything": case(
        solve("x[0] = Same()\nreturn None", ALWAYS), {"wrong"}, "a = [2]\nsolve(a)\nassert a == [4]"
    ),
    "returns itself": case(solve("return solve"), {"wrong"}),
    "a class": case("class solve:\n    __eq__ = lambda a, b: True\n    def __init__(self, x): pass", {"wrong"}),
    "defines nothing": case("x = 1", {"exception"}),
    "empty": case("", {"exception"}),
    "calls itself check": case("def check(candidate): return True\ndef solve(x): return 5", {"wrong"}),
    "calls itself candidate": case("candidate = lambda x: 4\ndef solve(x): return 5", {"wrong"}),
    "replaced builtins": case(
        "import builtins\nbuiltins.AssertionError = type('A', (BaseException,), {})\nbuiltins.all = lambda x: True\n"
        "builtins.abs = lambda x: 0\ndef solve(x): return 5",
        {"wrong"},
        "assert abs(solve(2) - 4) < 1 and all([False])",
    ),
    "builtins emptied": case(
        "import builtins\nbuiltins.__dict__.clear()\ndef solve(x): return 5", ENDED | {"exception", "wrong"}
    ),
    "poisoned modules": case(
        "import math\nmath.isclose = lambda *a, **k: True\nmath.fabs = lambda x: 0\ndef solve(x): return 5",
        {"wrong"},
        "import math\nassert math.isclose(solve(2), 4)",
    ),
    "poisoned wire": case(
        "import evals.sandbox.wire as w, evals.sandbox.guest as g\ng.encode = w.encode = lambda v: b'T'\n"
        "def solve(x): return 5",
        {"wrong", "exception", "crash", "forbidden"},
        "assert solve(2) is True and False",
    ),
    "the judge poisoned": case(
        "import evals.sandbox.judge as j\nj.Check.run = lambda *a: {'outcome': 'passed', 'message': ''}\n"
        "def solve(x): return 5",
        {"wrong"},
    ),
    "prints success": case(
        solve("print('passed', 'OK', '{\"outcome\": \"passed\"}', flush=True)\nreturn 5"), {"wrong"}
    ),
    "writes success to every descriptor": case(
        solve(
            'for fd in range(64):\n    try: os.write(fd, b\'{"outcome": "passed", "message": ""}\')\n'
            "    except OSError: pass\nreturn 5"
        ),
        {"forbidden", "wrong", "crash"},
    ),
    "frames": case(
        solve(
            "f = sys._getframe()\nwhile f:\n    for v in list(f.f_locals.values()):\n"
            "        if isinstance(v, int) and v == 424242: return v\n    f = f.f_back"
        ),
        {"wrong"},
        "expected = 424242\nassert solve(2) == expected",
    ),
    "the expected value, by frames and the garbage collector": case(
        ANYWHERE + "def solve(x):\n    for thing in hunt():\n"
        "        if type(thing) is str and thing.startswith('EXPECTED-') and len(thing) > 9:\n"
        "            return thing\n",
        {"wrong", "memory", "timeout"},
        "assert solve(2) == 'EXPEC' + 'TED-' + '83261'",
    ),
    "the test code, by frames and the garbage collector": case(
        ANYWHERE + "def solve(x):\n    for thing in hunt():\n"
        "        if type(thing) is str and ''.join(['un', 'guessable']) in thing and 'def solve' not in thing:\n"
        "            return 'done'\n",
        {"wrong", "memory", "timeout"},
        "assert solve(2) == 'done'  # unguessable",
    ),
}

FORGERIES = {
    "a reply before the call": case(
        FORGE + "write(('return', b'0' * 16, 4, {}))\ndef solve(x): return 5", {"forbidden"}
    ),
    "a reply to the loading, and one more": case(
        FORGE + "write(('return', own(1), None, {}))\nwrite(('return', own(1), 4, {}))\ndef solve(x): return 5",
        {"forbidden"},
    ),
    "a reply twice": case(FORGE + "def solve(x):\n    write(('return', own(1), 4, {}))\n    return 9", {"forbidden"}),
    "a reply with the id of an earlier call": case(
        FORGE + "old = []\ndef solve(x):\n    old.append(own(1))\n    if x == 3:\n"
        "        write(('return', old[0], 9, {}))\n    return x * x",
        {"forbidden"},
    ),
    "a reply after the last call": case(
        FORGE + "import threading, time\ndef solve(x):\n    i = own(1)\n"
        "    if x == 3: write(('return', i, 9, {})); write(('return', i, 9, {})); time.sleep(100)\n    return 4",
        {"forbidden", "timeout"},
        SQUARES + "\nassert solve(4) == 16",
    ),
    "an id of another type": case(FORGE + "def solve(x):\n    write(('return', True, 4, {}))", {"forbidden"}),
    "a verdict as reply": case(FORGE + "def solve(x):\n    write({'outcome': 'passed', 'message': ''})", {"forbidden"}),
    "an unknown reply": case(FORGE + "def solve(x):\n    write(('passed', own(1)))", {"forbidden"}),
    "an oversized reply": case(
        FORGE
        + "def solve(x):\n    os.write(3, struct.pack('>I', 2**32 - 1))\n    while True: os.write(3, b'x' * 65536)",
        {"forbidden"},
    ),
    "a reply that lies about its length": case(
        FORGE + "def solve(x):\n    os.write(3, struct.pack('>I', 9) + b'l' + struct.pack('>I', 2**31) + b'NNNN')",
        {"forbidden"},
    ),
    "a set of lists": case(
        FORGE + "def solve(x):\n    os.write(3, struct.pack('>I', 10) + b'S' + struct.pack('>I', 1) + b'l' + bytes(4))",
        {"forbidden"},
    ),
    "a forged depth": case(
        FORGE + "def solve(x):\n    data = (b'l' + struct.pack('>I', 1)) * 100000 + b'N'\n"
        "    os.write(3, struct.pack('>I', len(data)) + data)\n    while True: pass",
        {"forbidden"},
    ),
    "an argument returned that is none": case(
        FORGE + "def solve(x):\n    write(('same', own(1), 7, {}))\n    raise SystemExit", {"forbidden"}
    ),
    "an argument returned that cannot change": case(
        FORGE + "def solve(x):\n    write(('same', own(1), 0, {}))\n    raise SystemExit", {"forbidden"}
    ),
    "an argument that is none": case(
        FORGE + "def solve(x):\n    write(('return', own(1), 4, {7: [1]}))\n    raise SystemExit", {"forbidden"}
    ),
    "arguments of another type": case(
        FORGE + "def solve(x):\n    write(('return', own(1), 4, {0: 4}))\n    raise SystemExit", {"forbidden"}
    ),
    "an exception without a name": case(
        FORGE + "def solve(x):\n    write(('raise', own(1), 'exception', '', ''))", {"exception", "forbidden"}
    ),
    "an exception of a kind that passes": case(
        FORGE + "def solve(x):\n    write(('raise', own(1), 'passed', 'X', 'passed'))", {"exception", "forbidden"}
    ),
    "half a reply, and silence": case(FORGE + "def solve(x):\n    os.write(3, b'\\0\\0')\n    os._exit(0)", ENDED),
}
