# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Open files that people send: files and folders, packed in any way, in any encoding with a mark.

All content is read as a stream: nothing is extracted, and no link, device or path of an archive is ever followed.
"""

from __future__ import annotations

import fnmatch
import os
from dataclasses import dataclass
from typing import IO, Callable, Iterator, NamedTuple, Sequence

from ..regular_file import open_regular
from .compressed import Decompressed
from .containers import COMPRESSED, HEAD, TAR, UNREADABLE, ZIP, Form, detect
from .decoders import MissingCodec
from .encodings import encoding_of
from .members import Member
from .streams import Budget, Damaged, FileStream, InputLimits, Lookahead, Readable
from .tar_reader import tar_members
from .utf8 import Utf8
from .zip_reader import zip_members

# Separator between an archive and a path in it.
INSIDE = "!"
EVERYTHING = ("*",)
LIMITS = InputLimits()
NOTHING_IN_FOLDER = "no file in this folder matches a pattern"
NOTHING_IN_ARCHIVE = "no file in this archive matches a pattern"


class Content:
    """Content as a binary file: unpacked, and text as UTF-8 without a byte order mark.

    damage: set when the content ends early, is damaged or goes over a limit; the bytes before remain valid.
    """

    def __init__(self, stream: Readable) -> None:
        self._stream = stream
        self.damage: Damaged | None = None

    @property
    def problem(self) -> str:
        """Return the message of the damage, "" without."""
        return str(self.damage or "")

    def read(self, size: int) -> bytes:
        """Return this many bytes, fewer only at the end or after damage."""
        parts: list[bytes] = []
        left = size
        try:
            while left > 0:
                part = self._stream.read(left)
                if not part:
                    break
                parts.append(part)
                left -= len(part)
        except Damaged as error:
            self.damage = error
        return b"".join(parts)


class Input(NamedTuple):
    """One content that was found. Open it once, before the next one is requested.

    name: its path; in an archive ARCHIVE!PATH. inner_path: its path within what the user named, "" for that itself.
    is_named: the user named it, and it is no folder or archive; or it is one with a problem.
    problem: the reason why it cannot be opened, or "". compressions: its own compressions, the outermost first.
    """

    name: str
    inner_path: str
    is_named: bool
    problem: str = ""
    compressions: tuple[str, ...] = ()
    stream: Readable | None = None

    def open(self) -> Content:
        """Return its content. Raises ValueError if it has a problem."""
        if self.stream is None:
            raise ValueError(self.problem)
        return Content(self.stream)


def open_inputs(
    paths: Sequence[str], patterns: Sequence[str] = EVERYTHING, limits: InputLimits = LIMITS, follow_links: bool = True
) -> Iterator[Input]:
    """Yield every content in these files, folders and archives.

    Folders are read in the order of names, archives in their own order. Nothing is raised: unreadable content has a
    problem.

    patterns: shell patterns for names of files in folders and archives, including inner archives. follow_links: follow
    links to files in folders.
    """
    search = _Search(patterns, limits)
    for path in paths:
        if os.path.isdir(path):
            yield from search.folder(path, follow_links)
        else:
            yield from search.file(path, "", is_named=True)


def layers_of(path: str) -> tuple[str, ...]:
    """Return the forms that a file is packed in, the outermost first, down to an archive: ("gzip", "tar") for .tar.gz.

    () for a file that is not packed or cannot be read.
    """
    try:
        with open_regular(path) as file:
            return tuple(form.name for form, _stream in _layers(FileStream(file), _budget_of(file, LIMITS)))
    except (OSError, ValueError):
        return ()


def is_archive(path: str) -> bool:
    """Return whether a file is an archive, possibly compressed. False for an unreadable file."""
    return layers_of(path)[-1:] in ((TAR,), (ZIP,))


def archive_members(path: str) -> Iterator[tuple[str, Content]]:
    """Yield name and content of every file of an archive. Raises OSError, and ValueError for any damage."""
    with open_regular(path) as file:
        budget = _budget_of(file, LIMITS)
        layers = list(_layers(FileStream(file), budget))
        if not layers or layers[-1][0].kind not in (TAR, ZIP):
            raise ValueError(f"it is no archive{f', only compressed with {layers[-1][0].name}' if layers else ''}")
        form, stream = layers[-1]
        for member in _READERS[form.kind](stream, budget):
            content = Content(Lookahead(member.stream))
            if member.problem:
                raise ValueError(f"{member.name}: {member.problem}")
            yield member.name, content
            if content.damage:
                raise content.damage


_READERS: dict[str, Callable[[Lookahead, Budget], Iterator[Member]]] = {TAR: tar_members, ZIP: zip_members}


def _layers(stream: Lookahead, budget: Budget) -> Iterator[tuple[Form, Lookahead]]:
    """Yield the forms of a stream down to an archive, each with its stream. Raises MissingCodec."""
    for _depth in range(LIMITS.depth):
        form = detect(stream.peek(HEAD))
        if form is None:
            return
        yield form, stream
        if form.kind != COMPRESSED:
            return
        stream = Lookahead(Decompressed(stream, form, budget))


def _budget_of(file: IO[bytes], limits: InputLimits) -> Budget:
    return Budget(limits, os.fstat(file.fileno()).st_size)


@dataclass
class _Node:
    """One layer on the way to content."""

    name: str
    inner_path: str
    stream: Lookahead
    budget: Budget
    is_named: bool
    depth: int = 0
    compressions: tuple[str, ...] = ()

    def failed(self, problem: str) -> Input:
        return Input(self.name, self.inner_path, True, problem)


class _Search:
    """Search for content within one call."""

    def __init__(self, patterns: Sequence[str], limits: InputLimits) -> None:
        self._patterns, self._limits = patterns, limits

    def folder(self, folder: str, follow_links: bool) -> Iterator[Input]:
        """Yield the content of the folder and those below it. Links to folders are not followed."""
        unreadable: list[OSError] = []
        paths = sorted(
            os.path.join(base, name)
            for base, _folders, names in os.walk(folder, onerror=unreadable.append)
            for name in names
            if self._matches(name) and (follow_links or not os.path.islink(os.path.join(base, name)))
        )
        for path in paths:
            yield from self.file(path, os.path.relpath(path, folder).replace(os.sep, "/"), is_named=False)
        for error in unreadable:
            yield Input(str(error.filename or folder), "", True, f"cannot be read: {error.strerror}")
        if not paths and not unreadable:
            yield Input(folder, "", True, NOTHING_IN_FOLDER)

    def file(self, path: str, inner_path: str, is_named: bool) -> Iterator[Input]:
        """Yield the content of the file.

        inner_path: within the folder that the user named.
        """
        try:
            file = open_regular(path)
        except (OSError, ValueError) as error:  # ValueError: a path with a null byte
            why = error.strerror if isinstance(error, OSError) else error
            yield Input(path, inner_path, True, f"cannot be read: {why}")
            return
        with file:
            budget = _budget_of(file, self._limits)
            yield from self._open(_Node(path, inner_path, FileStream(file), budget, is_named))

    def _open(self, node: _Node) -> Iterator[Input]:
        head = node.stream.peek(HEAD)
        form = detect(head)
        if form is None:
            yield self._content(node, head)
        elif form.kind == UNREADABLE:
            yield node.failed(f"it is packed with {form.name}, which is not supported: unpack it")
        elif node.depth == self._limits.depth:
            yield node.failed(f"it is packed more than {self._limits.depth} times: unpack it")
        elif form.kind == COMPRESSED:
            yield from self._compressed(node, form)
        else:
            yield from self._archive(node, form)

    @staticmethod
    def _content(node: _Node, head: bytes) -> Input:
        encoding = encoding_of(head)
        stream: Readable = Lookahead(Utf8(node.stream, encoding)) if encoding else node.stream
        return Input(node.name, node.inner_path, node.is_named, "", node.compressions, stream)

    def _compressed(self, node: _Node, form: Form) -> Iterator[Input]:
        try:
            stream = Lookahead(Decompressed(node.stream, form, node.budget))
        except MissingCodec as error:
            yield node.failed(str(error))
            return
        node.stream, node.depth, node.compressions = stream, node.depth + 1, (*node.compressions, form.name)
        yield from self._open(node)

    def _archive(self, node: _Node, form: Form) -> Iterator[Input]:
        is_empty = True
        try:
            for member in _READERS[form.kind](node.stream, node.budget):
                path = member.name[2:] if member.name.startswith("./") else member.name
                if not self._matches(path.rpartition("/")[2]):
                    continue
                is_empty = False
                inner = _Node(
                    f"{node.name}{INSIDE}{path}",
                    f"{node.inner_path}{INSIDE}{path}" if node.inner_path else path,
                    Lookahead(member.stream),
                    node.budget,
                    False,
                    node.depth + 1,
                )
                if member.problem:
                    yield inner.failed(member.problem)
                else:
                    yield from self._open(inner)
        except Damaged as error:
            is_empty = False
            yield node.failed(str(error))
        if is_empty:
            yield node.failed(NOTHING_IN_ARCHIVE)

    def _matches(self, name: str) -> bool:
        return any(fnmatch.fnmatch(name, pattern) for pattern in self._patterns)
