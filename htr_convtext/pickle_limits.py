"""Whether a pickle in a checkpoint can be loaded in bounded time, depth and memory, told without loading it."""

import pickletools
import zipfile
from typing import BinaryIO

from .errors import InputError


MAX_PICKLE = 32_000_000  # bytes, without the tensors; published checkpoints have less than 1 MB
MAX_OPERATIONS = 4_000_000
MAX_DEPTH = 100
MAX_VALUES = 20_000_000  # counted as often as they are reached: a few bytes can hold a tuple of tuples of 2 ** 60
REFUSED = ("bytearray",)  # makes as many bytes as a number says


class PickleLimitError(InputError):
    """A checkpoint goes beyond what `check_pickles` allows."""


def check_pickles(file: BinaryIO) -> None:
    """
    Looks at what `torch.save` wrote, in its format of today (ZIP) or the one before.

    Raises:
        PickleLimitError: says what is too much.
        Exception: almost any, if the file is damaged.
    """
    if not zipfile.is_zipfile(file):
        file.seek(0)
        for _ in range(5):  # magic number, version, machine, the checkpoint, names of its tensors; then the tensors
            _check(file)
        return
    with zipfile.ZipFile(file) as archive:
        for entry in archive.infolist():
            if entry.compress_type != zipfile.ZIP_STORED:  # `torch.save` compresses nothing
                raise PickleLimitError(f"{entry.filename} in it is compressed")
            if entry.filename.endswith(".pkl"):
                if entry.file_size > MAX_PICKLE:
                    raise PickleLimitError(f"{entry.filename} in it has {entry.file_size / 1e6:.0f} MB")
                with archive.open(entry) as stream:
                    _check(stream)


class _Node:
    """How deep a value of a pickle is, and how many values it holds."""

    __slots__ = ("count", "depth")

    def __init__(self, depth: int = 0, count: int = 1):
        self.depth, self.count = depth, count

    def add(self, parts: list["_Node"]) -> "_Node":
        """Takes `parts` in."""
        self.depth = max([self.depth, *(part.depth + 1 for part in parts)])
        self.count += sum(part.count for part in parts)
        if self.depth > MAX_DEPTH:
            raise PickleLimitError(f"its values are nested more than {MAX_DEPTH} deep")
        if self.count > MAX_VALUES:
            raise PickleLimitError("its values are nested so that they are reached many millions of times")
        return self


# Operations that put values into the one below them on the stack.
FILLING = {"APPEND", "APPENDS", "SETITEM", "SETITEMS", "ADDITEMS", "BUILD"}
REMEMBERING = {"PUT", "BINPUT", "LONG_BINPUT"}
RECALLING = {"GET", "BINGET", "LONG_BINGET"}


def _check(stream: BinaryIO) -> None:
    """Goes through one pickle as `pickletools.dis` does, with nodes in place of values."""
    stack: list[_Node | None] = []  # `None` is a mark
    memo: dict[int, _Node] = {}
    for number, (operation, argument, _) in enumerate(pickletools.genops(stream)):
        if number > MAX_OPERATIONS:
            raise PickleLimitError(f"it has more than {MAX_OPERATIONS} operations")
        name = operation.name
        if name in ("GLOBAL", "INST") and argument.split(" ")[-1] in REFUSED:
            raise PickleLimitError(f"it makes a {argument.split(' ')[-1]}")
        if name in REMEMBERING:
            memo[argument] = stack[-1]
        elif name == "MEMOIZE":
            memo[len(memo)] = stack[-1]
        elif name in RECALLING:
            stack.append(memo[argument])
        elif name == "MARK":
            stack.append(None)
        elif name == "DUP":
            stack.append(stack[-1])
        else:
            taken = _take(operation, stack)
            if name in FILLING and taken:
                stack.append(taken[0].add(taken[1:]))
            elif operation.stack_after:
                stack.append(_Node().add(taken))


def _take(operation: pickletools.OpcodeInfo, stack: list[_Node | None]) -> list[_Node]:
    """Takes the values that an operation works on off the stack, and their mark."""
    before, taken = operation.stack_before, []
    if pickletools.markobject in before:
        while (value := stack.pop()) is not None:
            taken.append(value)
        below = before.index(pickletools.markobject)
    elif operation.name == "POP" and stack and stack[-1] is None:
        stack.pop()
        return []
    else:
        below = len(before)
    for _ in range(below):
        taken.append(stack.pop())
    return taken[::-1]
