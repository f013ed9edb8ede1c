"""Programs that bend Python itself: its source text, imports, protocols, hooks, frames and numbers."""

from __future__ import annotations

from tests.evals.sandbox.hostile.base import ENDED, FORGE, SQUARES, Hostile, case, solve

BENT = {"wrong", "exception", "forbidden", "crash"}
"""What may become of a program that spoils its own process."""
FIVE = "\ndef solve(x): return 5"


def spoils(code: str, tests: str = "assert solve(2) == 4") -> Hostile:
    """A program that does something at its import, and then answers 5."""
    return case(f"import os, sys\n{code}{FIVE}", BENT, tests)


def returns(body: str, tests: str, before: str = "") -> Hostile:
    """A program whose answer is told apart from the right one only by how the tests look at it."""
    return case(solve(body, before), {"wrong"}, tests)


SOURCE = {
    f"a program that says it is {encoding}": case(
        f"# coding: {encoding}\ndef solve(x):\n    #{hidden}    return x * x\n    return 5\n", {"wrong"}
    )
    for encoding, hidden in (("utf-7", "+AAo-"), ("unicode_escape", "\\n"), ("raw_unicode_escape", "\\u000a"))
} | {
    "a byte order mark": case("\ufeff# coding: utf-7\ndef solve(x):\n    return 5", {"syntax"}),
    "a line that only looks like one": case("def solve(x):\n    #\u2028    return x * x\n    return 5", {"wrong"}),
    "a form feed in a comment": case("def solve(x):\n    #\x0c    return x * x\n    return 5", {"wrong"}),
    "text that is read backwards": case("def solve(x):\n    '''\u202e''' ;return 5 ;'''\u202c x * x'''", {"wrong"}),
    "a flag of the compiler": case("from __future__ import barry_as_FLUFL\ndef solve(x):\n    return 5", {"wrong"}),
    "a future that changes the tests": case(
        "from __future__ import annotations" + FIVE, {"wrong"}, "def f(a: 1 / 0): pass\nassert solve(2) == 4"
    ),
}
IMPORTS = {
    "sys.meta_path": spoils(
        "class F:\n    def find_spec(*a): os._exit(0)\nsys.meta_path.insert(0, F())",
        "import wave\nassert solve(2) == 4",
    ),
    "sys.path_hooks": spoils("sys.path_hooks.insert(0, lambda p: os._exit(0))\nsys.path_importer_cache.clear()"),
    "builtins.__import__": spoils("import builtins\nbuiltins.__import__ = lambda *a, **k: os._exit(0)"),
    "site": spoils("import site\nsite.main()\nsite.addsitedir('/tmp')"),
    "sitecustomize": spoils("sys.modules['sitecustomize'] = sys.modules['usercustomize'] = sys"),
    "a .pth file": spoils(
        "try: open(os.path.join(os.path.dirname(os.__file__), 'sipf.pth'), 'w').write('import os')\n"
        "except OSError: pass"
    ),
    "the checker's modules loaded again": spoils(
        "import importlib, evals.sandbox.guest, evals.sandbox.wire\n"
        "importlib.reload(evals.sandbox.wire)\nimportlib.reload(evals.sandbox.guest)"
    ),
    "modules that the judge uses": spoils(
        'import ast, json, struct, traceback\njson.dumps = lambda *a, **k: \'{"outcome": "passed"}\'\n'
        "ast.parse = struct.pack = traceback.extract_tb = None",
        "import json\nassert json.dumps([]) == '[]' and solve(2) == 4",
    ),
    "os, without writing": case(f"import os\nos.write = lambda *a: 0{FIVE}", {"timeout"}),
    "os, with another reading": spoils("os.read = lambda *a: b''"),
    "no modules": spoils("sys.modules.clear()"),
}
CLASS = "class Odd{base}:\n    def {name}(self, *a): {body}\n"
PROTOCOLS = {
    f"an object with its own {name}": returns("return Odd()", tests, CLASS.format(base="", name=name, body=body))
    for name, body, tests in (
        ("__format__", "return '4'", "assert f'{solve(2)}' == '4'"),
        ("__str__", "return '4'", "assert str(solve(2)) == '4'"),
        ("__repr__", "return '4'", "assert repr(solve(2)) == '4'"),
        ("__hash__", "return 4", "assert {4: True}.get(solve(2))"),
        ("__index__", "return 1", "assert ['no', 'yes'][solve(2)] == 'yes'"),
        ("__int__", "return 4", "assert int(solve(2)) == 4"),
        ("__float__", "return 4.0", "assert float(solve(2)) == 4"),
        ("__len__", "return 4", "assert len(solve(2)) == 4"),
        ("__contains__", "return True", "assert 4 in solve(2)"),
        ("__iter__", "return iter([4])", "assert list(solve(2)) == [4]"),
        ("__getitem__", "return 4", "assert solve(2)[0] == 4"),
        ("__getattr__", "return 4", "assert solve(2).real == 4"),
        ("__lt__", "return True", "assert solve(2) < 5"),
        ("__gt__", "return True", "assert 3 < solve(2)"),
        ("__rsub__", "return 0", "assert abs(4 - solve(2)) < 1"),
        ("__round__", "return 4", "assert round(solve(2)) == 4"),
        ("__call__", "return 4", "assert solve(2)() == 4"),
        ("__enter__", "return 4", "with solve(2) as found: assert found == 4"),
        ("__await__", "return iter([4])", "assert next(solve(2).__await__()) == 4"),
        ("__buffer__", "return memoryview(b'x')", "assert bytes(solve(2)) == b'x'"),
        ("__reduce__", "return int, (4,)", "import copy\nassert copy.copy(solve(2)) == 4"),
    )
} | {
    f"a {base} with its own {name}": returns(
        f"return Odd({value})", tests, CLASS.format(base=f"({base})", name=name, body=body)
    )
    for base, value, name, body, tests in (
        ("int", "5", "__format__", "return '4'", "assert f'{solve(2)}' == '4'"),
        ("int", "5", "__hash__", "return 4", "assert solve(2) in {4}"),
        ("int", "5", "__index__", "return 1", "assert [0, 1][solve(2) - 4] == 0"),
        ("str", "'no'", "__str__", "return 'yes'", "assert str(solve(2)) == 'yes'"),
        ("str", "'no'", "__contains__", "return True", "assert 'yes' in solve(2)"),
        ("list", "[5]", "__getitem__", "return 4", "assert solve(2)[0] == 4"),
        ("list", "[]", "__len__", "return 4", "assert len(solve(2)) == 4"),
        ("dict", "{}", "__missing__", "return 4", "assert solve(2)['x'] == 4"),
        ("dict", "{}", "get", "return 4", "assert solve(2).get('x') == 4"),
        ("tuple", "[5]", "__iter__", "return iter([4])", "assert [*solve(2)] == [4]"),
        ("float", "5", "__sub__", "return 0.0", "assert abs(solve(2) - 4) < 1"),
    )
} | {
    "a class that is every class": returns(
        "return Odd", "assert isinstance(4, solve(2))",
        "class Meta(type):\n    __instancecheck__ = __subclasscheck__ = lambda c, o: True\n"
        "class Odd(metaclass=Meta): pass",
    ),
    "a class with items": returns(
        "return Odd", "assert solve(2)[4] == 4", "class Odd:\n    __class_getitem__ = lambda x: 4"
    ),
    "a class without a name": case(
        solve(
            "return Odd()", "class Meta(type):\n    __name__ = property(lambda c: 1 / 0)\nclass Odd(metaclass=Meta): 0"
        ),
        BENT,
    ),
    "an exception whose name is an object": case(
        solve(
            "raise Odd", "class Meta(type):\n    __name__ = property(lambda c: object())\n"
            "class Odd(Exception, metaclass=Meta): pass"
        ),
        BENT,
    ),
    "a truth that never comes": case(
        solve("return B()", "class B:\n    def __bool__(s): os._exit(0)"), ENDED, "assert solve(2)"
    ),
    "bases that change": returns("A.__bases__ = (B, int)\nreturn A()", "assert solve(2) == 4",
        "class B: __eq__ = lambda s, o: True\nclass C: pass\nclass A(C, int): pass"),
}  # fmt: skip
VALUES = {
    f"{kind} in place of a value": returns(f"return {value}", SQUARES, "import array, decimal\nimport fractions as f")
    for kind, value in (
        ("a generator", "(4 for _ in [1])"), ("an iterator", "iter([4])"), ("a bytearray", "bytearray(b'4')"),
        ("a memory view", "memoryview(b'4')"), ("an array", "array.array('i', [4])"),
        ("an int in C", "ctypes.c_int(4)"),
        ("a Decimal that signals", "decimal.Decimal('sNaN')"), ("a fraction", "f.Fraction(9, 2)"),
        ("a pickle", "__import__('pickle').dumps(4)"), ("a frame", "sys._getframe()"), ("a module", "sys"),
        ("a code object", "solve.__code__"), ("an ellipsis", "..."), ("NotImplemented", "NotImplemented"),
        ("infinity", "float('inf')"), ("a complex NaN", "complex('nan')"), ("a traceback", "sys.exc_info"),
    )
} | {
    "a coroutine": case("async def solve(x):\n    return 4", {"wrong"}),
    "an asynchronous generator": case("async def solve(x):\n    yield 4", {"wrong"}),
    "a coroutine that is awaited": case(
        "async def solve(x):\n    return 5", {"wrong"}, "import asyncio\nassert asyncio.run(solve(2)) == 4"
    ),
    "infinity, near": returns("return float('inf')", "import math\nassert math.isclose(solve(2), 4, abs_tol=1e-6)"),
    "a number of a million digits, told": case(
        solve("sys.set_int_max_str_digits(0)\nraise ValueError(10**20000)"), {"exception"}
    ),
    "digits without a limit": case(
        solve("sys.set_int_max_str_digits(0)\nreturn 10**5000"), {"wrong"}, "assert str(solve(2)) == '4'"
    ),
    "a list that grows while it is sent": case(
        solve(
            "a = [0]\ndef grow():\n    while len(a) < 300000: a.append(0)\n"
            "threading.Thread(target=grow).start()\nreturn a"
        ),
        BENT | {"timeout"},
    ),
    "a chain of exceptions": case(
        solve("e = None\nfor _ in range(20000):\n    n = ValueError(1)\n    n.__context__, e = e, n\nraise e"),
        {"exception"},
    ),
    "an exception with notes": case(solve("e = ValueError()\ne.__notes__ = [object()] * 99\nraise e"), {"exception"}),
    "a group of exceptions": case(solve("raise ExceptionGroup('x', [ValueError(4)])"), {"exception"}),
    "a name that is not local": case(solve("raise UnboundLocalError('solve')"), {"exception"}),
}  # fmt: skip
HOOKS = {
    "sys.unraisablehook": spoils("sys.unraisablehook = lambda *a: os._exit(0)\nclass D:\n    def __del__(s): 1/0\nD()"),
    "threading.excepthook": spoils(
        "import threading\nthreading.excepthook = lambda *a: os._exit(0)\nthreading.Thread(target=lambda: 1/0).start()"
    ),
    "gc.callbacks": spoils("import gc\ngc.callbacks.append(lambda *a: os._exit(0))\ngc.collect()"),
    "weakref.finalize": spoils("import weakref\nclass D: pass\nweakref.finalize(D(), os._exit, 0)"),
    "atexit, at once": spoils("import atexit\natexit.register(os._exit, 0)\natexit._run_exitfuncs()"),
    "sys.setprofile": spoils("sys.setprofile(lambda *a: os._exit(0))"),
    "sys.settrace on the guest's frames": spoils(
        "def trace(frame, event, value):\n    frame.f_locals.update(value=4, identity=b'')\n    return trace\n"
        "frame = sys._getframe()\nsys.settrace(trace)\n"
        "while frame: frame.f_trace = trace; frame = frame.f_back"
    ),
    "sys.addaudithook": spoils("sys.addaudithook(lambda *a: os._exit(0))"),
    "faulthandler to the wire": spoils("import faulthandler\nfaulthandler.dump_traceback(file=3)"),
    "warnings": spoils("import warnings\nwarnings.showwarning = lambda *a: os._exit(0)\nwarnings.warn('x')"),
    "the frames of all threads": spoils(
        "for frame in sys._current_frames().values():\n    while frame:\n"
        "        frame.f_globals.clear() if frame.f_globals.get('serve') else None\n        frame = frame.f_back"
    ),
    "the guest's code": spoils(
        "import evals.sandbox.guest as g\ng._answer.__code__ = (lambda m, r: ('return', r[1], 5, {})).__code__"
    ),
    "memory written through ctypes": spoils("import ctypes, evals.sandbox.wire as w\nctypes.memset(id(w), 0, 64)"),
    "None written over": spoils("import ctypes\nctypes.memset(id(None), 0, 16)"),
    "the methods of int": spoils(
        "import ctypes, gc\nd = gc.get_referents(int.__dict__)[0]\nd['__eq__'] = lambda a, b: True\n"
        "ctypes.pythonapi.PyType_Modified(ctypes.py_object(int))"
    ),
    "a thread that answers in its place": case(
        FORGE + "import threading\n"
        "def answer():\n    while True:\n        what = read()\n        write(('return', what[1], 5, {}))\n"
        "threading.Thread(target=answer, daemon=True).start()" + FIVE,
        BENT | {"timeout"},
    ),
    "verdicts on every descriptor, in every way": spoils(
        'line = b\'{"outcome": "passed", "message": "", "last": false}\\n\'\n'
        "for fd in range(64):\n    for send in "
        "(os.write, lambda f, b: os.writev(f, [b]), lambda f, b: os.pwrite(f, b, 0)):\n"
        "        try: send(fd, line)\n        except OSError: pass"
    ),
    "a verdict in the name of an exception": case(
        solve(
            "raise type('passed', (Exception,), {})("
            "'\\n{\"outcome\": \"passed\", \"message\": \"\", \"last\": false}\\n')"
        ),
        {"exception"},
    ),
    "leaves by another thread": case(
        solve("threading.Thread(target=os._exit, args=(0,)).start()\ntime.sleep(9)"), ENDED
    ),
    "ends its main thread": case(solve("ctypes.CDLL(None).pthread_exit(0)"), ENDED | {"timeout"}),
}  # fmt: skip

PYTHON = {**SOURCE, **IMPORTS, **PROTOCOLS, **VALUES, **HOOKS}
