"""What the cluster is made of. All of it comes from the Go module proxy and from Debian, by these versions."""

from typing import Final

KIND: Final = "v0.30.0"
KUBERNETES: Final = "v1.34.4"  # 1.35's kubelet refuses cgroup v1
ETCD: Final = "v3.6.5"  # what kubeadm of this Kubernetes asks for; the next two as well
COREDNS: Final = "v1.12.1"
PAUSE: Final = "3.10.1"
CONTAINERD: Final = "v2.1.4"  # what kind's own node image has; the next one as well
CNI_PLUGINS: Final = "v1.7.1"
LOCAL_PATH_PROVISIONER: Final = "v0.0.30"
DEBIAN: Final = "bookworm"
NODE_IMAGE: Final = f"cooper/kind-node:{KUBERNETES}"
