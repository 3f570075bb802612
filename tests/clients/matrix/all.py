"""All clients of the matrix, and the trial of them."""

import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Final

from clients.matrix import aws_cli, boto, curl, rclone, s3cmd, sdks
from clients.matrix.rows import Client, Place, Ran

CLIENTS: Final[tuple[Client, ...]] = (
    *aws_cli.CLIENTS,
    *boto.CLIENTS,
    *rclone.CLIENTS,
    *s3cmd.CLIENTS,
    *sdks.CLIENTS,
    *curl.CLIENTS,
)
_AT_A_TIME: Final = 2


def try_all(clients: Sequence[Client], credentials: Mapping[str, str], home: Path) -> dict[str, Ran | Exception]:
    """What came of each client, by its name: also why it could not be tried. They share the bucket `work`."""
    (home / "tree" / "a").mkdir(parents=True)
    for name in ("a/1.txt", "a/2.log", "3.txt", "odd ä+&%.txt"):
        (home / "tree" / name).write_text(f"{name}\n")
        os.utime(home / "tree" / name, (1_700_000_000, 1_700_000_000))  # long before it is stored
    (home / "small.txt").write_text("small\n" * 100)
    (home / "big.bin").write_bytes(os.urandom(12 << 20))
    with ThreadPoolExecutor(_AT_A_TIME) as pool:
        found = pool.map(partial(_try, dict(credentials), home), clients)
        return dict(zip((each.name for each in clients), found, strict=True))


def _try(credentials: dict[str, str], home: Path, client: Client) -> Ran | Exception:
    folder = home / client.name.lower().replace(",", "").replace(" ", "-")
    folder.mkdir()
    try:
        return client.run(client, Place(credentials, folder, home / "small.txt", home / "big.bin", home / "tree"))
    except Exception as error:  # it is told by the tests of that client
        return error
