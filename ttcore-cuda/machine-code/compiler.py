"""The kernels' source as the crate has it, and what NVRTC and nvdisasm make of it."""

import ctypes
import re
import subprocess
import sysconfig
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

# GPUs of the data centre: A100, H100.
ARCHITECTURES = ("sm_80", "sm_90")

SUCCESS = 0
# Instructions that change memory in one step, and reductions: their opcodes begin with one of these.
ATOMIC = re.compile(r"^(ATOM|RED|SUATOM|SURED)")
# On floats; and compare-and-swap, which is how the compiler makes those that have no instruction of their own.
FLOAT = re.compile(r"\.(F16|F16x2|BF16|BF16x2|BF16_V2|F32|F64|CAS|CAST)\b")
INSTRUCTION = re.compile(r"^\s*/\*[0-9a-f]+\*/\s+(?:@!?U?P\w+\s+)?([A-Z][\w.]*)")
COMPILED = re.compile(r"Compiling entry function '(\w+)'")
STACK = re.compile(r"(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads")
USED = re.compile(r"Used (\d+) registers")
SHARED = re.compile(r"(\d+) bytes smem")


class Failure(Exception):
    """A sentence that says what is missing or wrong."""


@dataclass
class Kernel:
    """What the compiler says of a kernel; what its machine code has."""

    registers: int = 0
    stack: int = 0
    spill_stores: int = 0
    spill_loads: int = 0
    shared: int = 0
    atomics: int = 0
    # Opcodes of atomics on floats: there must be none.
    floats: tuple = ()


def packages():
    """Where pip has put the tools."""
    return Path(sysconfig.get_paths()["purelib"]) / "nvidia"


def tool(pattern):
    found = sorted(packages().glob(pattern))
    if not found:
        raise Failure(f"there is no {pattern} in {packages()}: remove the folder, so that it is installed anew")
    return found[0]


def sources(crate):
    """The files of the kernels, in the order in which src/nvrtc.rs joins them."""
    listed = re.findall(r'include_str!\("\.\./kernels/([^"]+)"\)', (crate / "src/nvrtc.rs").read_text())
    there = sorted(path.name for path in (crate / "kernels").iterdir() if path.suffix in (".cu", ".cuh"))
    if sorted(listed) != there:
        raise Failure(f"src/nvrtc.rs joins {sorted(listed)}, and kernels/ has {there}")
    emulated = re.findall(r'#include "\.\./kernels/([^"]+)"', (crate / "emulator/host.cpp").read_text())
    if emulated != listed:
        raise Failure(f"src/nvrtc.rs joins {listed}, and emulator/host.cpp {emulated}")
    return [crate / "kernels" / name for name in listed]


def entries(crate):
    """The entries that the crate starts: those of src/device.rs, for both types."""
    listed = re.findall(r'^    \w+ = "(\w+)";$', (crate / "src/device.rs").read_text(), re.MULTILINE)
    if not listed:
        raise Failure("src/device.rs names no kernels as it did when this was written")
    return {f"{name}_{number}" for name in listed for number in ("f32", "f64")}


class Nvrtc:
    def __init__(self):
        self.library = ctypes.CDLL(str(tool("cuda_nvrtc/lib/libnvrtc.so.*")))

    def check(self, answer, what):
        if answer != SUCCESS:
            raise Failure(f"NVRTC failed to {what}: error {answer}")

    def text(self, program, name):
        size = ctypes.c_size_t()
        self.check(getattr(self.library, f"nvrtcGet{name}Size")(program, ctypes.byref(size)), f"give the {name}")
        text = ctypes.create_string_buffer(size.value)
        self.check(getattr(self.library, f"nvrtcGet{name}")(program, text), f"give the {name}")
        return text.raw

    def compile(self, source, architecture):
        """Machine code, and what the compiler says of it."""
        program = ctypes.c_void_p()
        created = self.library.nvrtcCreateProgram(ctypes.byref(program), source.encode(), b"ttcore.cu", 0, None, None)
        self.check(created, "take the source")
        # The crate's, and that the compiler tells what it uses, which changes nothing.
        options = [f"--gpu-architecture={architecture}", "--std=c++17", "--ptxas-options=-v"]
        array = (ctypes.c_char_p * len(options))(*[option.encode() for option in options])
        answer = self.library.nvrtcCompileProgram(program, len(options), array)
        log = self.text(program, "ProgramLog").rstrip(b"\0").decode()
        if answer != SUCCESS:
            raise Failure(f"the kernels do not compile for {architecture}:\n{log}")
        code = self.text(program, "CUBIN")
        self.library.nvrtcDestroyProgram(ctypes.byref(program))
        return code, log


def resources(log):
    """What the log of the compiler says of each kernel."""
    kernels, kernel = {}, None
    for line in log.splitlines():
        if found := COMPILED.search(line):
            kernel = kernels.setdefault(found[1], Kernel())
        elif kernel and (found := STACK.search(line)):
            kernel.stack, kernel.spill_stores, kernel.spill_loads = map(int, found.groups())
        elif kernel and (found := USED.search(line)):
            kernel.registers = int(found[1])
            shared = SHARED.search(line)
            kernel.shared = int(shared[1]) if shared else 0
    return kernels


def count_atomics(assembly, kernels):
    """Adds the atomics of each kernel, by its section, to what is known of it."""
    seen, kernel = set(), None
    for line in assembly.splitlines():
        if line.startswith(".text."):
            name = line[len(".text.") :].rstrip(":")
            kernel = kernels.get(name)
            seen.add(name)
        elif kernel and (found := INSTRUCTION.match(line)) and ATOMIC.match(found[1]):
            kernel.atomics += 1
            if FLOAT.search(found[1]):
                kernel.floats += (found[1],)
    if seen != set(kernels):
        raise Failure(f"only one of compiler and disassembler knows {sorted(seen ^ set(kernels))}")


def build(crate, architecture, folder):
    """Every kernel of an architecture."""
    source = "".join(path.read_text() for path in sources(crate))
    code, log = Nvrtc().compile(source, architecture)
    image = folder / f"{architecture}.cubin"
    image.write_bytes(code)
    command = [tool("*/bin/nvdisasm"), "--print-code", "--no-dataflow", image]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise Failure(f"nvdisasm fails: {done.stderr}")
    kernels = resources(log)
    if not kernels or not all(kernel.registers for kernel in kernels.values()):
        raise Failure(f"the compiler does not say what the kernels use as it did when this was written:\n{log}")
    count_atomics(done.stdout, kernels)
    return kernels


def build_all(crate, folder, architectures=ARCHITECTURES):
    """Every kernel of every architecture, by the names of both."""
    with ThreadPoolExecutor() as threads:
        return dict(zip(architectures, threads.map(lambda name: build(crate, name, folder), architectures)))
