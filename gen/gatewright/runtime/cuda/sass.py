"""PTX -> cubin -> Machine code: assemble a kernel and count what it became, without a device.

    assembled    PTX    -> cubin and the linker's log   (nvJitLink, or ptxas where that is missing)
    disassembled cubins -> instruction names of each    (nvdisasm, of its wheel or on the PATH)

Why both are read: the log knows registers, stack and spills, but says nothing about local memory
that an index forces, float64 arithmetic or calls; the instructions show those. Why many at once:
nvdisasm takes longer to start than to read.
"""

from __future__ import annotations

import importlib.util
import re
import shutil
import struct
import subprocess
import tempfile
from bisect import bisect
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from itertools import accumulate
from pathlib import Path

_INSTRUCTION = re.compile(r"^\s*/\*([0-9a-f]+)\*/\s+(?:@!?U?P\w+\s+)?([A-Z][A-Z0-9_.]*)", re.M)
# The flag SHF_EXECINSTR of a section.
_EXECUTABLE = 4
_FLOAT64 = ("DADD", "DFMA", "DMMA", "DMNMX", "DMUL", "DSET", "DSETP")
_LOG = {
    "registers": r"[Uu]sed (\d+) registers",
    "stack": r"(\d+) bytes stack frame|(\d+) stack|(\d+) bytes lmem",
    "spill_stores": r"(\d+) bytes spill stores",
    "spill_loads": r"(\d+) bytes spill loads",
}


class AssemblyError(RuntimeError):
    """An assembler refused a kernel or said nothing about it; the message holds its log."""


@dataclass(frozen=True)
class Assembled:
    """A cubin, and what the assembler said of it."""

    cubin: bytes = field(repr=False)
    log: str


@dataclass(frozen=True)
class MachineCode:
    """What a kernel became: bytes of stack and spills, counts of instructions."""

    registers: int
    stack: int
    spill_stores: int
    spill_loads: int
    local: int
    float64: int
    calls: int
    tensor: int
    instructions: int


def why_no_machine_code() -> str:
    """Return a sentence why nothing can be assembled here, empty if it can."""
    if not _has_nvjitlink() and shutil.which("ptxas") is None:
        return "neither nvJitLink (cuda-bindings, nvidia-nvjitlink) nor ptxas is installed"
    if nvdisasm() is None:
        return "nvdisasm is missing: install nvidia-cuda-nvdisasm"
    return ""


def machine_codes(made: Sequence[Assembled], arch: str) -> list[MachineCode]:
    """Return what kernels became on the architecture, such as `sm_90`, they were assembled for.

    Raises AssemblyError if they cannot be read.
    """
    listings = disassembled([each.cubin for each in made], arch)
    return [_counted(each.log, names) for each, names in zip(made, listings, strict=True)]


def _counted(log: str, names: Counter[str]) -> MachineCode:
    found = {name: _largest(pattern, log) for name, pattern in _LOG.items()}
    if not found["registers"]:
        raise AssemblyError(f"the assembler's log names no registers:\n{log}")
    return MachineCode(
        registers=found["registers"],
        stack=found["stack"],
        spill_stores=found["spill_stores"],
        spill_loads=found["spill_loads"],
        local=_count(names, "LDL", "STL"),
        float64=sum(count for name, count in names.items() if _is_float64(name)),
        calls=_count(names, "CALL"),
        tensor=_count(names, "HMMA"),
        instructions=names.total(),
    )


def assembled(ptx: str, arch: str) -> Assembled:
    """Return what the one kernel of a PTX text is on an architecture such as `sm_90`.

    Raises AssemblyError if the assembler refuses it.
    """
    return Assembled(*(_with_nvjitlink if _has_nvjitlink() else _with_ptxas)(ptx, arch))


def disassembled(cubins: Sequence[bytes], arch: str) -> list[Counter[str]]:
    """Return how often each instruction, such as `LDG.E`, stands in each cubin."""
    tool = nvdisasm()
    if tool is None:
        raise AssemblyError(why_no_machine_code())
    codes = [_instructions(cubin) for cubin in cubins]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "kernels.bin")
        path.write_bytes(b"".join(codes))
        command = [tool, "-b", arch.replace("sm_", "SM"), "-ndf", str(path)]
        ran = subprocess.run(command, capture_output=True, text=True, check=False)
    if ran.returncode:
        raise AssemblyError(ran.stderr)
    ends = list(accumulate(map(len, codes)))
    found: list[Counter[str]] = [Counter() for _ in codes]
    for place, name in _INSTRUCTION.findall(ran.stdout):
        found[bisect(ends, int(place, 16))][name] += 1
    if not all(found):
        raise AssemblyError("nvdisasm shows no instructions")
    return found


def _instructions(cubin: bytes) -> bytes:
    """Return the executable sections of a cubin, which is an ELF file of 64 bits."""
    (table,), (entry, count) = (
        struct.unpack_from(form, cubin, at) for form, at in (("<Q", 0x28), ("<HH", 0x3A))
    )
    found = []
    for number in range(count):
        _, _, flags, _, start, size = struct.unpack_from("<2I4Q", cubin, table + number * entry)
        if flags & _EXECUTABLE:
            found.append(cubin[start : start + size])
    return b"".join(found)


@cache
def nvdisasm() -> str | None:
    """Return the path of nvdisasm: on the PATH, or in NVIDIA's wheel; None if there is none."""
    if found := shutil.which("nvdisasm"):
        return found
    wheels = importlib.util.find_spec("nvidia")
    for folder in (wheels.submodule_search_locations or ()) if wheels else ():
        for path in sorted(Path(folder).glob("*/bin/nvdisasm*")):
            return str(path)
    return None


@cache
def _has_nvjitlink() -> bool:
    try:
        from cuda.bindings import nvjitlink

        nvjitlink.version()
    except (ImportError, RuntimeError):
        return False
    return True


def _with_nvjitlink(ptx: str, arch: str) -> tuple[bytes, str]:
    from cuda.bindings import nvjitlink

    options = [f"-arch={arch}", "-verbose"]
    handle = nvjitlink.create(len(options), options)
    try:
        text = ptx.encode() + b"\0"
        try:
            nvjitlink.add_data(handle, nvjitlink.InputType.PTX, text, len(text), "kernel.ptx")
            nvjitlink.complete(handle)
        except nvjitlink.nvJitLinkError as error:
            log = bytearray(nvjitlink.get_error_log_size(handle))
            nvjitlink.get_error_log(handle, log)
            raise AssemblyError(_text(log)) from error
        log = bytearray(nvjitlink.get_info_log_size(handle))
        nvjitlink.get_info_log(handle, log)
        cubin = bytearray(nvjitlink.get_linked_cubin_size(handle))
        nvjitlink.get_linked_cubin(handle, cubin)
    finally:
        nvjitlink.destroy(handle)
    return bytes(cubin), _text(log)


def _with_ptxas(ptx: str, arch: str) -> tuple[bytes, str]:
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder, "kernel.ptx"), Path(folder, "kernel.cubin")
        source.write_text(ptx)
        command = ["ptxas", f"-arch={arch}", "-v", str(source), "-o", str(target)]
        ran = subprocess.run(command, capture_output=True, text=True, check=False)
        if ran.returncode:
            raise AssemblyError(ran.stderr)
        return target.read_bytes(), ran.stderr


def _text(log: bytearray) -> str:
    return log.decode(errors="replace").strip("\0").strip()


def _largest(pattern: str, log: str) -> int:
    found = [max(int(part or 0) for part in match.groups()) for match in re.finditer(pattern, log)]
    return max(found, default=0)


def _count(names: Counter[str], *plain: str) -> int:
    return sum(count for name, count in names.items() if name.split(".")[0] in plain)


def _is_float64(name: str) -> bool:
    return name.split(".")[0] in _FLOAT64 or "F64" in name or "64H" in name
