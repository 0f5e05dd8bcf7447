"""Files are taken out of ZIP archives within limits, and hostile archives are refused."""

import io
import random
import stat
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from chatwright.errors import InputError
from chatwright.pipeline.open_models import archive

LIMIT = 10_000


def write(folder: Path, members: dict[str, bytes], compression: int = zipfile.ZIP_DEFLATED) -> Path:
    file = folder / "a.zip"
    with zipfile.ZipFile(file, "w", compression) as opened:
        for name, content in members.items():
            opened.writestr(name, content)
    return file


def files_below(folder: Path) -> dict[str, bytes]:
    paths = [path for path in folder.rglob("*") if path.is_file()]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


def test_data_files_are_unpacked_and_other_files_are_left_out(tmp_path: Path) -> None:
    data = {"config.json": b"{}", "1_Pooling/config.json": b"[]", "a/model.safetensors": b"\0" * 99}
    other = {"model.py": b"code", "pytorch_model.bin": b"pickle", "run.sh": b"code", "a/": b""}
    archive.unpack(write(tmp_path, data | other), tmp_path / "out", LIMIT)
    assert files_below(tmp_path / "out") == data


def test_one_member_is_copied_whole(tmp_path: Path) -> None:
    content = random.Random(0).randbytes(3 * archive.CHUNK + 5)
    file = write(tmp_path, {"p/model.gguf": content, "p/__init__.py": b"code"})
    archive.take_member(file, "p/model.gguf", len(content), tmp_path / "model.gguf")
    assert (tmp_path / "model.gguf").read_bytes() == content
    assert {path.name for path in tmp_path.iterdir()} == {"a.zip", "model.gguf"}


@pytest.mark.parametrize(("name", "n_byte"), [("p/other", 3), ("p/model", 2), ("p/model", 4)])
def test_a_member_of_another_name_or_size_is_refused(
    name: str, n_byte: int, tmp_path: Path
) -> None:
    file = write(tmp_path, {"p/model": b"abc"})
    with pytest.raises(InputError) as caught:
        archive.take_member(file, name, n_byte, tmp_path / "out")
    assert caught.value.field == "a.zip"
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "name",
    [
        "../evil.json",
        "a/../../evil.json",
        "/evil.json",
        "//host/evil.json",
        "..\\evil.json",
        "C:evil.json",
        "C:\\evil.json",
        "a\nb.json",
    ],
)
def test_a_path_that_leaves_the_folder_is_refused(name: str, tmp_path: Path) -> None:
    inner = tmp_path / "inner"
    inner.mkdir()
    file = write(inner, {"a.json": b"{}", name: b"evil"})
    with pytest.raises(InputError):
        archive.unpack(file, inner / "out", LIMIT)
    assert "evil" not in "".join(files_below(tmp_path))


def bomb(folder: Path) -> Path:
    return write(folder, {"a.json": b"\0" * (LIMIT + 1)})


def many_files(folder: Path) -> Path:
    return write(folder, {f"{i}.json": b"" for i in range(archive.MAX_MEMBERS + 1)})


def link(folder: Path) -> Path:
    member = zipfile.ZipInfo("link.json")
    member.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(folder / "a.zip", "w") as opened:
        opened.writestr(member, "/etc/passwd")
    return folder / "a.zip"


def encrypted(folder: Path) -> Path:
    file = write(folder, {"a.json": b"{}"})
    content = bytearray(file.read_bytes())
    content[content.index(b"PK\x01\x02") + 8] |= 1  # the flag in the central directory
    content[6] |= 1
    file.write_bytes(content)
    return file


def lzma(folder: Path) -> Path:
    return write(folder, {"a.json": b"{}" * 100}, zipfile.ZIP_LZMA)


def lying_size(folder: Path) -> Path:
    """An archive whose directory says 10 bytes for a member of 100,000."""
    file = write(folder, {"a.json": b"\0" * 100_000})
    content = bytearray(file.read_bytes())
    central = content.index(b"PK\x01\x02")
    content[central + 24 : central + 28] = struct.pack("<I", 10)
    file.write_bytes(content)
    return file


def wrong_checksum(folder: Path) -> Path:
    file = write(folder, {"a.json": b"0123456789"}, zipfile.ZIP_STORED)
    file.write_bytes(file.read_bytes().replace(b"0123456789", b"0123456780"))
    return file


def not_an_archive(folder: Path) -> Path:
    (folder / "a.zip").write_bytes(b"PK\x03\x04 and nothing else")
    return folder / "a.zip"


HOSTILE = [
    bomb,
    many_files,
    link,
    encrypted,
    lzma,
    lying_size,
    wrong_checksum,
    not_an_archive,
]


@pytest.mark.parametrize("make", HOSTILE)
def test_a_hostile_archive_is_refused(make: Callable[[Path], Path], tmp_path: Path) -> None:
    file = make(tmp_path)
    with pytest.raises(InputError) as caught:
        archive.unpack(file, tmp_path / "out", LIMIT)
    assert caught.value.field == "a.zip"
    assert caught.value.remedy
    assert sum(map(len, files_below(tmp_path / "out").values())) <= LIMIT


def test_a_truncated_or_changed_archive_is_refused_or_gives_the_same_files(tmp_path: Path) -> None:
    members = {"a.json": b"{}" * 50, "b/c.json": bytes(range(256))}
    whole = write(tmp_path, members).read_bytes()
    draws = random.Random(1)
    refused = 0
    for number in range(200):
        content = bytearray(whole)
        if number % 2:
            del content[draws.randrange(len(content)) :]
        else:
            content[draws.randrange(len(content))] ^= 1 << draws.randrange(8)
        file = tmp_path / f"{number}.zip"
        file.write_bytes(content)
        try:
            archive.unpack(file, tmp_path / str(number), LIMIT)
        except InputError:
            refused += 1
            continue
        found = files_below(tmp_path / str(number))
        assert set(found.values()) <= set(members.values()) | {b""}
    assert refused > 100


def test_zipfile_itself_would_have_followed_the_bomb(tmp_path: Path) -> None:
    """The positive control: without our limit, the archive is valid and unpacks."""
    with zipfile.ZipFile(io.BytesIO(bomb(tmp_path).read_bytes())) as opened:
        opened.extractall(tmp_path / "extracted")
    assert (tmp_path / "extracted" / "a.json").stat().st_size == LIMIT + 1
