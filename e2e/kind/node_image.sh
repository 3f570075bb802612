#!/bin/bash
# A node image for kind out of debootstrap and our static builds; no image registry is asked.
# Usage: node_image.sh rootfs|image, with in the environment
#   WORK     a scratch folder            BIN      the programs          KIND_SOURCE  kind's module
#   DEBIAN, KUBERNETES, ETCD, COREDNS, PAUSE, NODE_IMAGE: see versions.py
set -euo pipefail
ROOTFS=$WORK/rootfs
STAGE=$WORK/stage
mkdir -p "$STAGE"

rootfs() { # Debian with what a node needs: kind's images/base/Dockerfile, less nfs, iscsi and fuse
  local mirror packages
  mirror=$(apt-get indextargets --format '$(REPO_URI) $(RELEASE)' 'Created-By: Packages' | awk -v r="$DEBIAN" '$2 == r {print $1; exit}')
  packages=ca-certificates,systemd,dbus,conntrack,iptables,nftables,iproute2,ethtool,util-linux,mount,kmod,libseccomp2
  packages+=,pigz,curl,jq,procps,socat,runc
  rm -rf "$ROOTFS"
  debootstrap --variant=minbase --include="$packages" "$DEBIAN" "$ROOTFS" "$mirror"
  rm -rf "$ROOTFS"/var/cache/apt/archives/*.deb "$ROOTFS"/var/lib/apt/lists/* "$ROOTFS"/usr/share/{doc,man,locale}/*
}

manifest() { # manifest CONSTANT FILE: a manifest that kind keeps as a Go string, less its last quote
  awk -v begin="const $1 = \`" 'index($0, begin) == 1 {p=1; next} p && /^`$/ {exit} p' "$KIND_SOURCE/pkg/build/nodeimage/$2"
}

node_files() {
  local r=$ROOTFS units=$ROOTFS/lib/systemd/system
  cp -r --no-preserve=mode "$KIND_SOURCE"/images/base/files/. "$r/"
  chmod 755 "$r"/usr/local/bin/* "$r"/kind/bin/*
  # The units that kind's Dockerfile removes, too.
  rm -f "$units"/sysinit.target.wants/systemd-tmpfiles-setup.service "$units"/multi-user.target.wants/* \
    "$r"/etc/systemd/system/*.wants/* "$units"/local-fs.target.wants/* "$units"/sockets.target.wants/*udev* \
    "$units"/sockets.target.wants/*initctl* "$units"/basic.target.wants/*
  echo ReadKMsg=no >>"$r/etc/systemd/journald.conf"
  ln -sf /lib/systemd/systemd "$r/sbin/init"
  chroot "$r" systemctl enable kubelet.service containerd.service undo-mount-hacks.service
  chroot "$r" systemctl mask systemd-binfmt.service
  mkdir -p "$r"/etc/kubernetes/manifests "$r"/opt/cni/bin "$r"/etc/cni/net.d "$r"/kind/manifests
  install -m755 "$BIN"/{containerd,ctr,containerd-shim-runc-v2,crictl} "$r/usr/local/bin/"
  # First in PATH; hands over to Debian's /usr/sbin/runc once it has dropped what the kernel would refuse.
  install -D -m755 "$BIN/runc-clamp" "$r/usr/local/sbin/runc"
  install -m755 "$BIN"/{host-local,loopback,ptp,portmap} "$r/opt/cni/bin/"
  install -m755 "$BIN"/{kubelet,kubeadm,kubectl} "$r/usr/bin/"
  "$BIN/ctr" oci spec | jq '.hooks.createContainer[.hooks.createContainer|length] |=
      . + {"path":"/kind/bin/mount-product-files.sh"} | del(.process.rlimits)' >"$r/etc/containerd/cri-base.json"
  sed -i "s#registry.k8s.io/pause:[0-9.]*#registry.k8s.io/pause:$PAUSE#" "$r/etc/containerd/config.toml"
  echo "$KUBERNETES" >"$r/kind/version"
  manifest defaultStorageManifest const_storage.go |
    sed -e 's#` + storageProvisionerImage + `#docker.io/kindest/local-path-provisioner:local#' \
      -e 's#` + storageHelperImage + `#docker.io/kindest/local-path-helper:local#' >"$r/kind/manifests/default-storage.yaml"
  manifest defaultCNIManifest const_cni.go |
    sed -e 's#` + kindnetdImage + `#docker.io/kindest/kindnetd:local#' >"$r/kind/manifests/default-cni.yaml"
}

IMAGES=()
image() { # image TAG FOLDER: an image of a folder with a Dockerfile
  DOCKER_BUILDKIT=0 docker build -q -t "$1" "$2"
}

one() { # one TAG PROGRAM PATH [FROM]: an image around one static program
  local folder=$STAGE/$2
  rm -rf "$folder" && mkdir -p "$folder" && cp "$BIN/$2" "$folder/"
  printf 'FROM %s\nENV PATH=/usr/local/bin:/usr/bin:/usr/sbin:/sbin:/bin\nCOPY %s %s\nENTRYPOINT ["%s"]\n' \
    "${4:-scratch}" "$2" "$3" "$3" >"$folder/Dockerfile"
  image "$1" "$folder"
  IMAGES+=("$1")
}

nettools() { # kube-proxy and the CNI agent call iptables: its programs, libraries and extensions from the rootfs
  local folder=$STAGE/nettools program library lib=usr/lib/x86_64-linux-gnu
  rm -rf "$folder" && mkdir -p "$folder"/root/{usr/local/bin,usr/bin,usr/sbin,$lib,usr/lib64,run,tmp}
  for program in sbin lib lib64 bin; do ln -s "usr/$program" "$folder/root/$program"; done
  cp -r "$ROOTFS/$lib/xtables" "$folder/root/$lib/"
  for program in xtables-nft-multi conntrack nft; do cp "$ROOTFS/usr/sbin/$program" "$folder/root/usr/sbin/"; done
  # The extensions' own libraries as well: without libm a service with two endpoints never gets its rules.
  chroot "$ROOTFS" sh -c "ldd /usr/sbin/xtables-nft-multi /usr/sbin/conntrack /usr/sbin/nft /$lib/xtables/*.so" |
    grep -o '/[^ ]*\.so[^ :]*' | grep -v /xtables/ | sort -u | while read -r library; do
      library=/usr${library#/usr}
      mkdir -p "$folder/root${library%/*}" && cp -L "$ROOTFS$library" "$folder/root$library"
    done
  # The node uses nft as well: Docker's DNS rules are there.
  for program in iptables iptables-save iptables-restore ip6tables ip6tables-save ip6tables-restore; do
    ln -s xtables-nft-multi "$folder/root/usr/sbin/$program"
  done
  printf 'FROM scratch\nENV PATH=/usr/local/bin:/usr/bin:/usr/sbin:/sbin:/bin\nCOPY root/ /\n' >"$folder/Dockerfile"
  image cooper/kind-nettools:1 "$folder"
}

storage_helper() { # the local-path provisioner's helper pod: sh, mkdir, rm
  local folder=$STAGE/helper program
  rm -rf "$folder" && mkdir -p "$folder/root/bin" && cp "$(command -v busybox)" "$folder/root/bin/"
  for program in sh mkdir rm; do ln -s busybox "$folder/root/bin/$program"; done
  printf 'FROM scratch\nENV PATH=/bin\nCOPY root/ /\nENTRYPOINT ["/bin/sh"]\n' >"$folder/Dockerfile"
  image docker.io/kindest/local-path-helper:local "$folder"
  IMAGES+=(docker.io/kindest/local-path-helper:local)
}

pod_images() {
  local name
  for name in kube-apiserver kube-controller-manager kube-scheduler; do
    one "registry.k8s.io/$name:$KUBERNETES" "$name" "/usr/local/bin/$name"
  done
  one "registry.k8s.io/etcd:${ETCD#v}-0" etcd /usr/local/bin/etcd
  one "registry.k8s.io/coredns/coredns:$COREDNS" coredns /coredns
  one "registry.k8s.io/pause:$PAUSE" pause /pause
  one docker.io/kindest/local-path-provisioner:local local-path-provisioner /usr/local/bin/local-path-provisioner
  nettools
  one "registry.k8s.io/kube-proxy:$KUBERNETES" kube-proxy /usr/local/bin/kube-proxy cooper/kind-nettools:1
  one docker.io/kindest/kindnetd:local cni-agent /usr/local/bin/kindnetd cooper/kind-nettools:1
  storage_helper
}

preload() { # as `kind build node-image` does: containerd inside the base image, import, commit
  local build=cooper-kind-build base=cooper/kind-base:1 loaded=cooper/kind-preloaded:1
  tar -C "$ROOTFS" -c . | docker import - "$base"
  docker rm -f "$build" >/dev/null 2>&1 || true
  docker run -d --name "$build" --security-opt seccomp=unconfined --entrypoint sleep "$base" infinity
  docker exec "$build" bash -c 'nohup containerd >/tmp/log 2>&1 &
    for i in $(seq 50); do ctr version >/dev/null 2>&1 && exit 0; sleep 0.2; done; cat /tmp/log; exit 1'
  docker save "${IMAGES[@]}" | docker exec -i "$build" ctr -n k8s.io images import \
    --label=io.cri-containerd.pinned=pinned --all-platforms --no-unpack --digests -
  docker exec "$build" bash -c 'kill $(pidof containerd); sleep 1; rm -rf /tmp/log /run/containerd'
  docker commit "$build" "$loaded"
  docker rm -f "$build"
  # A commit cannot set the stop signal.
  printf 'FROM %s\nENV container=docker\nSTOPSIGNAL SIGRTMIN+3\nENTRYPOINT ["/usr/local/bin/entrypoint","/sbin/init"]\n' \
    "$loaded" | DOCKER_BUILDKIT=0 docker build -q -t "$NODE_IMAGE" -
}

case $1 in
  rootfs) rootfs ;;
  image) node_files && pod_images && preload ;;
  *) echo "node_image.sh: rootfs or image, not $1" >&2 && exit 2 ;;
esac
