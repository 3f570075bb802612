"""Files that Cooper itself writes into a resources folder: one for each Bucket that a client asked for over S3.

Once written such a file is its reader's, as all others are: it is never written again, and never removed.
"""

import errno
from pathlib import Path
from typing import Final

import yaml

from cooper_operator.cluster import safe_files
from cooper_operator.cluster.manifest_files import Broken, declared_in
from cooper_operator.cluster.objects import copied, ref_of
from cooper_operator.cluster.port import Invalid, Object, Ref, Unavailable
from cooper_operator.cluster.yaml_documents import MAX_FILE_SIZE

FOLDER: Final = "over-s3"
_HEAD: Final = """\
# Made by Cooper, since a client asked for this bucket over S3 (CreateBucket). It is yours like any other file here:
# change it as you like. To remove it deletes the bucket.
"""
#: What stays as it is until somebody changes the folder.
_FOR_GOOD: Final = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ELOOP, errno.ENOTDIR, errno.ENAMETOOLONG)


def made_path(ref: Ref) -> str:
    """Of the file that is written for a resource, below the resources folder. A namespace's name has no period."""
    return f"{FOLDER}/{ref.namespace}.{ref.name}.yaml"


def write(root: Path, obj: Object) -> None:
    """Write the file that declares a resource; one that is there and says the same is left as it is.

    Raises Invalid when another one is in the way or none can be written there, and Unavailable.
    """
    ref = ref_of(obj)
    path, name = made_path(ref), made_path(ref).removeprefix(f"{FOLDER}/")
    text = _HEAD + yaml.safe_dump(copied(obj), sort_keys=False, allow_unicode=True)
    try:
        with safe_files.opened(root, FOLDER, create=True) as folder:
            try:
                safe_files.create(folder, name, text.encode())
            except FileExistsError:
                if not _says(folder, name, obj):
                    raise Invalid(f"{path} is there and says something else: remove it") from None
    except OSError as error:
        raises = Invalid if error.errno in _FOR_GOOD else Unavailable
        raise raises(f"{path} cannot be written: {error.strerror}") from None


def _says(folder: int, name: str, obj: Object) -> bool:
    """Whether a file declares that resource, with that spec, and nothing else."""
    try:
        found = safe_files.read(folder, name, MAX_FILE_SIZE + 1)
    except safe_files.NotRegular:
        return False
    content = None if found is None else declared_in(name, found[0])
    if content is None or isinstance(content, Broken) or len(content) != 1:
        return False
    return (content[0].ref, content[0].declaration.spec) == (ref_of(obj), obj["spec"])
