"""Take files out of ZIP archives (wheels are ZIP archives) with limits on their sizes.

Nothing is taken from a file beyond its declared size, nothing is written outside of the target
folder, and only data files are written: no code, no pickle.
"""

import errno
import stat
import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath, PureWindowsPath

from chatwright.errors import InputError

MAX_MEMBERS = 1000
CHUNK = 1 << 20
DATA_SUFFIXES = (".json", ".jinja", ".md", ".model", ".safetensors", ".spm", ".txt")
FORMAT_ERRORS = (
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    EOFError,
    NotImplementedError,  # an unknown method of compression
    RuntimeError,  # an encrypted member
    ValueError,
)
COMPRESSIONS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)


def take_member(archive: Path, name: str, n_byte: int, target: Path) -> None:
    """Copy one member of an archive to the file `target`.

    Raises:
        InputError: The archive is damaged, or has no member of this name and size.
    """
    with _opened(archive) as zip_file:
        if name not in zip_file.namelist():
            raise _unfit(archive, f"it holds no file {name}")
        member = zip_file.getinfo(name)
        _require_plain(archive, member)
        if member.file_size != n_byte:
            raise _unfit(archive, f"{name} has {member.file_size:,} bytes instead of {n_byte:,}")
        _copy(zip_file, member, target)


def unpack(archive: Path, folder: Path, max_bytes: int) -> None:
    """Unpack the data files of an archive into a new folder; other files are left out.

    Raises:
        InputError: The archive is damaged or too large, or a member's path leaves the folder.
    """
    folder.mkdir()
    with _opened(archive) as zip_file:
        members = [member for member in zip_file.infolist() if not member.is_dir()]
        _require_limits(archive, members, max_bytes)
        for member in members:
            target = folder / _inside(archive, member.filename)
            if target.suffix in DATA_SUFFIXES:
                target.parent.mkdir(parents=True, exist_ok=True)
                _copy(zip_file, member, target)


def _require_limits(archive: Path, members: list[zipfile.ZipInfo], max_bytes: int) -> None:
    if len(members) > MAX_MEMBERS:
        raise _unfit(archive, f"it holds {len(members):,} files, more than {MAX_MEMBERS:,}")
    n_byte = sum(member.file_size for member in members)
    if n_byte > max_bytes:
        raise _unfit(archive, f"its files take {n_byte:,} bytes, more than {max_bytes:,}")
    for member in members:
        _require_plain(archive, member)


def _require_plain(archive: Path, member: zipfile.ZipInfo) -> None:
    """Refuse links, encrypted members and methods of compression that models do not need."""
    mode = member.external_attr >> 16
    if stat.S_IFMT(mode) not in (0, stat.S_IFREG):
        raise _unfit(archive, f"{member.filename!a} is a link or a device")
    if member.flag_bits & 0x1:
        raise _unfit(archive, f"{member.filename!a} is encrypted")
    if member.compress_type not in COMPRESSIONS:
        raise _unfit(archive, f"{member.filename!a} has an unknown compression")


def _inside(archive: Path, name: str) -> PurePosixPath:
    """Return the path of a member, which must lie below the folder on every system."""
    path = PurePosixPath(name)
    is_outside = path.is_absolute() or ".." in path.parts
    is_special = "\\" in name or bool(PureWindowsPath(name).drive) or not name.isprintable()
    if is_outside or is_special:
        raise _unfit(archive, f"the path {name!a} leaves the folder")
    return path


def _copy(zip_file: zipfile.ZipFile, member: zipfile.ZipInfo, target: Path) -> None:
    """Copy a member; `zipfile` ends it at its declared size and checks its CRC-32."""
    with zip_file.open(member) as source, target.open("wb") as written:
        while chunk := source.read(CHUNK):
            written.write(chunk)


@contextmanager
def _opened(archive: Path) -> Iterator[zipfile.ZipFile]:
    """Open an archive; errors of the format become InputErrors, those of the disk do not."""
    try:
        with zipfile.ZipFile(archive) as zip_file:
            yield zip_file
    except InputError:
        raise
    except OSError as error:
        # A damaged archive names a place before its beginning. Other errors are the disk's.
        if error.errno != errno.EINVAL:
            raise
        raise _unfit(archive, "it is damaged") from None
    except FORMAT_ERRORS as error:
        raise _unfit(archive, str(error) or type(error).__name__) from None


def _unfit(archive: Path, cause: str) -> InputError:
    return InputError(
        f"{archive.name}: {cause}, so nothing was taken from it.",
        remedy="Get the file again from its source.",
        field=archive.name,
        value=str(archive),
    )
