"""How one gateway replica is set up: a value that the composition root makes and every process of the replica gets."""

from typing import Final

import msgspec

#: Bytes of address space for an index.
MAP_SIZE: Final = 1 << 40


class KubernetesRecords(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Records from Secrets of a cluster."""

    namespace: str  # the gateway's own
    kubeconfig: str = ""  # file; empty: the pod's service account, else where kubectl looks


class GatewayConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Settings of a replica. Paths are absolute."""

    region: str  # name of the Region this replica serves
    data_dir: str  # the embedded store: index/, segments/, bucket-keys/
    run_dir: str  # on tmpfs, mode 0700, made anew at start: records table, sockets, metrics
    records_dir: str  # record files (standalone); not used with `kubernetes`
    kek_file: str  # key-encryption key
    kubernetes: KubernetesRecords | None = None
    host: str = "127.0.0.1"
    port: int = 9000
    tls_cert: str = ""  # PEM file of the certificate that S3 is served with; empty: without TLS
    tls_key: str = ""  # PEM file of its key
    metrics_host: str = "127.0.0.1"  # where metrics and health are served: they ask for no credentials
    metrics_port: int = 9100
    workers: int = 2
    drain: float = 5.0  # seconds that requests in progress get when the gateway stops
    access_log: str = ""  # file that lines are added to; `-`: standard output; empty: none
    access_log_share: float = 1.0  # of the requests that were not refused, from 0 to 1
    traces: str = ""  # URL of an OpenTelemetry collector that spans go to; empty: none are made
    traces_share: float = 1.0  # of the traces that begin here, from 0 to 1
    map_size: int = MAP_SIZE  # bytes of address space for the index
    table_size: int = 256 << 20  # bytes; limit of the records table

    @property
    def table_path(self) -> str:
        """The records table (LMDB)."""
        return self.run_dir + "/records"

    @property
    def committer_path(self) -> str:
        """The committer's packet socket."""
        return self.run_dir + "/committer.sock"
